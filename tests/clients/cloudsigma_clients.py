"""The CloudSigma API by the clients people have: pycloudsigma (`cloudsigma`), Apache Libcloud, and raw HTTP for bytes.

    cloudsigma_clients.py URL EMAIL PASSWORD LIBRARY_DISK LIBRARY_CDROM

The clients are as they come from PyPI. Every step says what it is about; the first that fails ends the run.
"""

import hashlib
import os
import socket
import sys
import tempfile
import time
from urllib.parse import urlsplit

url, email, password, library_disk, library_cdrom = sys.argv[1:]
GIB = 1 << 30

config = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
config.write(f'api_endpoint = "{url}/api/2.0/"\nusername = "{email}"\npassword = "{password}"\n')
config.close()
os.environ["CLOUDSIGMA_CONFIG"] = config.name

import requests  # noqa: E402
from cloudsigma import errors, resource  # noqa: E402
from libcloud.common.types import InvalidCredsError  # noqa: E402
from libcloud.compute.drivers import cloudsigma as libcloud_cloudsigma  # noqa: E402
from libcloud.compute.providers import get_driver  # noqa: E402
from libcloud.compute.types import NodeState, Provider  # noqa: E402


def step(what):
    print(what, flush=True)


def raises(kind, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{call} did not raise {kind}")


def until(get, status):
    for _ in range(600):
        found = get()
        if found["status"] == status:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {status}: {found}")


# ---- pycloudsigma ----------------------------------------------------------------------------------------------------
step("pycloudsigma: start-up")
drives, servers, snapshots = resource.Drive(), resource.Server(), resource.Snapshot()
assert resource.Profile().get()["email"] == email
assert resource.Capabilites().get()["default_storage_type"] == "dssd"
assert "dssd" in resource.CurrentUsage().get()["usage"]
assert resource.Balance().get()["currency"] == "USD"
for empty in (resource.VLAN, resource.IP, resource.FirewallPolicy, resource.Acls, resource.RemoteSnapshot, resource.Jobs):
    assert empty().list() == []
assert drives.list() == []
assert drives.get_schema()["default_limit"] == 20
raises(errors.AuthError, resource.Drive(username=email, password="wrong").list)

step("pycloudsigma: a drive")
drive = drives.create({"name": "test_drive_1", "size": 1073741824, "media": "disk"})
assert drive["status"] == "creating"
uuid = drive["uuid"]
drive = until(lambda: drives.get(uuid), "unmounted")
drive["name"] = "renamed"
assert drives.update(uuid, drive)["name"] == "renamed"
assert [it["name"] for it in drives.list_detail()] == ["renamed"]
assert drives.list({"name__contains": "RENAMED"})[0]["uuid"] == uuid
raises(errors.ClientError, drives.create, {"name": "small", "size": 1024, "media": "disk"})
raises(errors.ClientError, drives.delete, "")
assert len(drives.list()) == 1
drives.resize(uuid, {"name": "renamed", "media": "disk", "size": 2 * GIB})
assert until(lambda: drives.get(uuid), "unmounted")["size"] == 2 * GIB
many = drives.create([{"name": f"many_{n}", "size": GIB, "media": "disk"} for n in range(5)])
assert [it["name"] for it in many] == [f"many_{n}" for n in range(5)]
for one in many:
    drives.delete(one["uuid"])

step("pycloudsigma: clones, snapshots")
clone = drives.clone(uuid, {"name": "cloned"}, avoid=uuid)
assert clone["status"] == "cloning_dst"
until(lambda: drives.get(clone["uuid"]), "unmounted")
snapshot = snapshots.create({"drive": uuid, "name": "then"})
until(lambda: snapshots.get(snapshot["uuid"]), "available")
from_snapshot = snapshots.clone(snapshot["uuid"], {"name": "from_snapshot"})
until(lambda: drives.get(from_snapshot["uuid"]), "unmounted")
snapshots.delete(snapshot["uuid"])
raises(errors.ClientError, snapshots.get, snapshot["uuid"])

step("pycloudsigma: the library, a server")
libdrives = resource.LibDrive()
assert {it["uuid"] for it in libdrives.list()} == {library_disk, library_cdrom}
own = drives.clone(library_disk)
until(lambda: drives.get(own["uuid"]), "unmounted")


def guest(drive, device="virtio"):
    mount = {"device": device, "dev_channel": "0:0", "drive": drive, "boot_order": 1}
    return {"name": "guest", "cpu": 1000, "mem": 512 << 20, "vnc_password": "secret", "drives": [mount]}


raises(errors.PermissionError, servers.create, guest(library_disk))
cdrom = servers.create(guest(library_cdrom, "ide"))
server = servers.create(guest(uuid))
assert drives.get(uuid)["status"] == "mounted"
servers.start(server["uuid"])
until(lambda: servers.get(server["uuid"]), "running")
raises(errors.PermissionError, servers.start, server["uuid"])
raises(errors.PermissionError, servers.delete, server["uuid"])
raises(errors.PermissionError, drives.resize, uuid, {"name": "x", "media": "disk", "size": 3 * GIB})
servers.stop(server["uuid"])
until(lambda: servers.get(server["uuid"]), "stopped")
copy = servers.clone(server["uuid"], {"name": "copy"})
until(lambda: drives.get(copy["drives"][0]["drive"]["uuid"]), "mounted")
servers.delete_with_all_drives(copy["uuid"])
servers.delete_with_disks(server["uuid"])
raises(errors.ClientError, drives.get, uuid)
servers.delete(cdrom["uuid"])

step("pycloudsigma: tags")
tags = resource.Tags()
tag = tags.create({"name": "tag", "resources": [own["uuid"]]})
assert [it["uuid"] for it in tags.drives(tag["uuid"])] == [own["uuid"]]
tags.delete(tag["uuid"])

step("pycloudsigma: an upload in chunks")
image = bytes((n * 31 + n // 251) % 256 for n in range(1_000_003))
with tempfile.NamedTemporaryFile(delete=False) as file:
    file.write(image)
started = resource.InitUpload().create({"media": "disk", "name": "uploaded"}, image_path=file.name)
assert (started["status"], started["size"]) == ("uploading", len(image)), started
size = 300_000
for number in (2, 0, 1):
    link = drives.get_upload_chunk_link(started["uuid"], number, size)
    end = len(image) if number == 2 else (number + 1) * size
    # The client's own sender reads the file as text under Python 3; what it sends is sent here.
    sent = requests.post(drives.c._get_full_url(link), data=image[number * size:end])
    assert sent.status_code in (200, 201), sent.text
    if number != 1:
        again = raises(errors.ClientError, drives.get_upload_chunk_link, started["uuid"], number, size)
        assert again.status_code == 416 and "already uploaded" in again.message, again
assert drives.get(started["uuid"])["status"] == "unmounted"
auth = (email, password)
path = f"{url}/api/2.0/drives/{started['uuid']}/download/"
part = requests.get(path, auth=auth, headers={"Range": f"bytes=0-{len(image) - 1}"})
assert part.status_code == 206 and part.content == image

step("raw HTTP: a direct upload that waits to be asked for its body")
parts = urlsplit(url)
token = requests.Request("GET", url, auth=auth).prepare().headers["Authorization"]
with socket.create_connection((parts.hostname, parts.port), timeout=30) as line:
    head = (
        f"POST /api/2.0/drives/upload/image.raw HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {token}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(image)}\r\nExpect: 100-continue\r\n"
        "Connection: close\r\n\r\n"
    )
    line.sendall(head.encode())
    assert line.recv(64).startswith(b"HTTP/1.1 100")
    line.sendall(image)
    answer = b""
    while piece := line.recv(4096):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200"), answer
    uploaded = answer.rsplit(b"\r\n", 1)[-1].decode()
path = f"{url}/api/2.0/drives/{uploaded}/download/"
whole = requests.get(path, auth=auth)
assert whole.headers["Content-Length"] == str(512 << 20)
digest = hashlib.sha256(image + bytes((512 << 20) - len(image))).hexdigest()
assert hashlib.sha256(whole.content).hexdigest() == digest
for one in drives.list():
    drives.delete(one["uuid"])
assert drives.list() == []

# ---- Apache Libcloud -------------------------------------------------------------------------------------------------
step("libcloud: start-up")
libcloud_cloudsigma.CloudSigma_2_0_NodeDriver.DRIVE_TRANSITION_SLEEP_INTERVAL = 0.05


def driver(secret):
    # The constructor refuses plain http; the connection itself does not mind (spec, section 7.7).
    made = get_driver(Provider.CLOUDSIGMA)(email, secret, host=parts.hostname, port=parts.port, api_version="2.0")
    made.connection.secure = False
    made.connection.connect()
    return made


raises(InvalidCredsError, driver("wrong").list_volumes)
cloud = driver(password)
assert cloud.list_volumes() == [] and cloud.list_nodes() == []
assert cloud.ex_get_balance()["currency"] == "USD"
assert "default_storage_type" in cloud.ex_list_capabilities()
assert cloud.ex_get_usage()["usage"]["dssd"]["burst"] == 0
assert {it.resource for it in cloud.ex_list_subscriptions()} >= {"dssd"}
assert cloud.list_key_pairs() == [] and cloud.ex_list_firewall_policies() == []
assert cloud.ex_list_servers_availability_groups() == []

step("libcloud: volumes")
volume = cloud.create_volume("volume", 1)
volume = cloud._wait_for_drive_state_transition(volume, "unmounted")
assert volume.size == GIB or volume.size == 1
volume = cloud._wait_for_drive_state_transition(cloud.ex_resize_drive(volume, 2), "unmounted")
copied = cloud._wait_for_drive_state_transition(cloud.ex_clone_drive(volume), "unmounted")
assert len(cloud.list_volumes()) == 2
assert sorted(sum(cloud.ex_list_drives_availability_groups(), [])) == sorted([volume.id, copied.id])

step("libcloud: a node from a disk of the library")
preinstalled = cloud.list_images()
assert [it.id for it in preinstalled] == [library_disk]
image = next(it for it in cloud.ex_list_library_drives() if it.id == library_disk)
size = cloud.list_sizes()[0]
node = cloud.create_node("node", size, image)
node = cloud.ex_get_node(node.id)
assert node.state == NodeState.RUNNING
assert cloud.stop_node(node)
node = cloud.ex_get_node(node.id)
assert cloud.attach_volume(node=node, volume=volume)
node = cloud.ex_get_node(node.id)
assert len(node.extra["drives"]) == 2
assert cloud.ex_get_drive(volume.id).status == "mounted"
assert cloud.detach_volume(node=cloud.ex_get_node(node.id), volume=volume)
assert cloud.ex_get_drive(volume.id).status == "unmounted"
node = cloud.ex_get_node(node.id)
twin = cloud.ex_clone_node(node, name="twin")
assert twin.name == "twin"
assert cloud.start_node(node) and cloud.reboot_node(cloud.ex_get_node(node.id))
assert cloud.stop_node(cloud.ex_get_node(node.id))

step("libcloud: tags")
# Its ex_tag_resource mixes up what it is given with what the tag has, and raises before it calls anybody.
tag = cloud.ex_create_tag("tag", resource_uuids=[volume.id, copied.id])
assert sorted(tag.resources) == sorted([volume.id, copied.id])
assert sorted(cloud.ex_get_tag(tag.id).resources) == sorted(tag.resources)
assert cloud.list_nodes(ex_tag=tag) == []
assert [it.id for it in cloud.ex_list_tags()] == [tag.id]
assert cloud.ex_delete_tag(tag)

step("libcloud: all is taken away")
for one in cloud.list_nodes():
    for _ in range(600):
        if all(cloud.ex_get_drive(it["drive"]["uuid"]).status == "mounted" for it in one.extra["drives"]):
            break
        time.sleep(0.05)
    assert cloud.destroy_node(one, ex_delete_drives=True)
for one in cloud.list_volumes():
    assert cloud.destroy_volume(one)
assert cloud.list_volumes() == [] and cloud.list_nodes() == []

os.unlink(config.name)
os.unlink(file.name)
print("done")
