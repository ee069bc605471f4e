"""Cloud Foundry, by the client that people have: cloudfoundry-client, unmodified, on v2 and v3.

    cloudfoundry.py URL USER PASSWORD ORGANIZATION

Every step says what it is about; the first that fails ends the run.
"""

import sys

from cloudfoundry_client.client import CloudFoundryClient
from cloudfoundry_client.errors import InvalidStatusCode
from cloudfoundry_client.v3.entities import ToManyRelationship
from cloudfoundry_client.v3.organization_quotas import AppsQuota, RoutesQuota, ServicesQuota

url, user, password, organization = sys.argv[1:]


def step(what):
    print(what, flush=True)


def refused(call, code):
    """The call is refused with this code, on whichever API."""
    try:
        call()
    except InvalidStatusCode as refusal:
        body = refusal.body
        told = body["errors"][0]["code"] if "errors" in body else body["code"]
        assert told == code, body
        return
    raise AssertionError(f"it was not refused with {code}")


step("login, by a wrong password and by the right one")
client = CloudFoundryClient(url)
try:
    client.init_with_user_credentials(user, "wrong")
    raise AssertionError("a wrong password was let in")
except Exception as error:
    assert "credentials" in str(error), error
client.init_with_user_credentials(user, password)
assert client.refresh_token and client.info.api_v2_url.endswith("/v2") and client.info.api_v3_url.endswith("/v3")

step("an organization, by name")
found = [org for org in client.v2.organizations if org["entity"]["name"] == organization]
assert len(found) == 1 and client.v2.organizations.get_first(name=organization)["metadata"] == found[0]["metadata"]
org = found[0]
guid = org["metadata"]["guid"]

step("a space and a quota on it, by v2")
space = client.v2.spaces._create(dict(name="python", organization_guid=guid))
space_guid = space["metadata"]["guid"]
assert space.organization()["metadata"]["guid"] == guid
quotas = "%s/v2/space_quota_definitions" % url
quota = client.post(
    quotas,
    json=dict(
        name="python", non_basic_services_allowed=False, total_services=1, total_routes=1, memory_limit=1024,
        organization_guid=guid, app_instance_limit=4, app_task_limit=1,
    ),
).json()["metadata"]["guid"]
client.put("%s/%s/spaces/%s" % (quotas, quota, space_guid))
assert [it["metadata"]["guid"] for it in org.space_quota_definitions()] == [quota]
assert client.v2.spaces.get(space_guid)["entity"]["space_quota_definition_guid"] == quota

step("an app, started and scaled until the quota refuses")
app = client.v2.apps.create(name="app", space_guid=space_guid, memory=256, instances=2)
app_guid = app["metadata"]["guid"]
app.start()
assert client.v2.apps.get_summary(app_guid)["running_instances"] == 2
client.v2.apps.update(app_guid, instances=4)
refused(lambda: client.v2.apps.update(app_guid, memory=257), 310003)
refused(lambda: client.v2.apps.update(app_guid, memory=128, instances=5), 310008)
assert len(client.v2.apps.get_instances(app_guid)) == 4
usage = client.v3.organizations.get_usage_summary(guid)["usage_summary"]
assert (usage["memory_in_mb"], usage["started_instances"]) == (1024, 4), usage

step("tasks, until the quota refuses")
refused(lambda: client.v3.tasks.create(app_guid, command="true", memory_in_mb=1), 10008)
client.v2.apps.update(app_guid, instances=1)
task = client.v3.tasks.create(app_guid, command="true", memory_in_mb=512)
assert task["state"] == "RUNNING"
refused(lambda: client.v3.tasks.create(app_guid, command="true", memory_in_mb=1), 10008)
assert client.v3.tasks.cancel(task["guid"])["state"] == "CANCELING"
assert client.v3.tasks.get(task["guid"])["state"] == "FAILED"
assert len(list(client.v3.tasks.list(app_guids=app_guid))) == 1

step("routes, services and keys, until the quota refuses")
domains = {it["entity"]["router_group_type"]: it["metadata"]["guid"] for it in client.v2.shared_domains}
route = client.v2.routes.create_host_route(domains[None], space_guid, "python")
refused(lambda: client.v2.routes.create_host_route(domains[None], space_guid, "more"), 310005)
client.v2.routes._remove(route["metadata"]["guid"])
route = client.v2.routes.create_tcp_route(domains["tcp"], space_guid, 5000)
plans = {it["entity"]["free"]: it["metadata"]["guid"] for it in client.v2.service_plans}
refused(lambda: client.v2.service_instances.create(space_guid, "paid", plans[False]), 60013)
instance = client.v2.service_instances.create(space_guid, "free", plans[True])
refused(lambda: client.v2.service_instances.create(space_guid, "more", plans[True]), 60012)
key = client.v2.service_keys.create(instance["metadata"]["guid"], "key")
assert key.service_instance()["metadata"]["guid"] == instance["metadata"]["guid"]
client.v2.service_keys.remove(key["metadata"]["guid"])
client.v2.service_instances.remove(instance["metadata"]["guid"])

step("the same quota by v3, changed there and seen by v2")
path = "%s/v3/space_quotas/%s" % (url, quota)
seen = client.get(path).json()
assert seen["apps"]["total_memory_in_mb"] == 1024 and seen["services"]["total_service_keys"] is None, seen
client.patch(path, json=dict(name="python", apps=dict(total_memory_in_mb=None)))
assert client.get("%s/%s" % (quotas, quota)).json()["entity"]["memory_limit"] == -1
refused(lambda: client.delete(path), 10008)

step("an organization's quota by v3")
made = client.v3.organization_quotas.create(
    "python", AppsQuota(2048, 1024, 10, 5), ServicesQuota(True, 10, 20), RoutesQuota(8, 4)
)
other = client.v3.organizations.create(name="python", suspended=False)
client.v3.organization_quotas.apply_to_organizations(made["guid"], ToManyRelationship(other["guid"]))
assert client.v3.organizations.get(other["guid"])["relationships"]["quota"]["data"]["guid"] == made["guid"]
assert client.v2.organizations.get(other["guid"])["entity"]["quota_definition_guid"] == made["guid"]
updated = client.v3.organization_quotas.update(made["guid"], "python", AppsQuota(4096, 1024, 10, 5))
assert updated["apps"]["total_memory_in_mb"] == 4096
refused(lambda: client.v3.organization_quotas.remove(made["guid"]), 10008)
client.v3.organizations.remove(other["guid"], asynchronous=False)
client.v3.organization_quotas.remove(made["guid"], asynchronous=False)

step("pages, and a token that is refreshed when it is over")
for number in range(3):
    client.v3.spaces.create("page-%d" % number, guid)
names = {it["name"] for it in client.v3.spaces.list(per_page=1)}
assert {"python", "page-0", "page-1", "page-2"} <= names, names
by_v2 = {it["entity"]["name"] for it in client.v2.spaces.list(**{"results-per-page": 1})}
assert by_v2 == names, by_v2
client._access_token = "over"
assert client.v2.spaces.get(space_guid)["metadata"]["guid"] == space_guid

step("stop, and the end of it all")
client.v2.apps.stop(app_guid)
client.v3.apps.remove(app_guid, asynchronous=False)
client.v2.routes._remove(route["metadata"]["guid"])
client.delete("%s/%s" % (quotas, quota))
for it in client.v3.spaces.list(names="python,page-0,page-1,page-2"):
    client.v3.spaces.remove(it["guid"])
usage = client.v3.organizations.get_usage_summary(guid)["usage_summary"]
assert all(used == 0 for used in usage.values()), usage

print("done")
