"""A client of the CarrierX API that makes the calls of the vendor's own, carrierx-python (which is not on PyPI).

    carrierx.py URL TOKEN LOGIN PASSWORD PARTNER_SID

Its habits are kept: every call has `Content-type: application/json`; `get` first asks with an empty login and ignores the
answer; `exists` spells `includeFields`; a list always says its limit. The first step that fails ends the run.
"""

import json
import sys

import requests

url, token, login, password, partner = sys.argv[1:]
base = f"{url}/core/v2/storage"


class Client:
    def __init__(self, token="", login="", password=""):
        self.headers = {"Content-type": "application/json"}
        self.auth = (login, password)
        self.session = requests.Session()
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, path, data=None, **params):
        more = {} if "Authorization" in self.headers else {"auth": self.auth}
        body = None if data is None else json.dumps(data)
        return self.session.request(method, f"{base}/{path}", headers=self.headers, data=body, params=params, **more)

    def create(self, noun, **fields):
        answer = self.call("POST", noun, {name: value for name, value in fields.items() if value is not None})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def get(self, noun, sid):
        # requests puts the login in place of the token.
        ignored = self.session.get(f"{base}/{noun}/{sid}", auth=self.auth, headers=self.headers)
        assert self.auth != ("", "") or ignored.status_code == 401, ignored.status_code
        answer = self.call("GET", f"{noun}/{sid}")
        return answer.json() if answer.status_code == 200 else answer.status_code

    def exists(self, noun, sid_field, filter=None):
        answer = self.call("GET", noun, offset=0, limit=1, includeFields=sid_field, filter=filter)
        assert answer.status_code == 200, answer.text
        assert all(set(item) == {sid_field} for item in answer.json()["items"]), answer.text
        return answer.json()["total"] > 0

    def list(self, noun, filter=None, offset=0, limit=1000, order=None):
        answer = self.call("GET", noun, offset=offset, limit=limit, filter=filter, order=order)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def update(self, noun, sid, **fields):
        answer = self.call("PATCH", f"{noun}/{sid}", fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def delete(self, noun, sid):
        answer = self.call("DELETE", f"{noun}/{sid}")
        assert answer.status_code == 204 and answer.text == "", answer.text


def run(client):
    assert not client.exists("containers", "container_sid")
    made = client.create(
        "containers", name="calls", partner_sid=partner, quota_count=5, durability_class="high", integer_key_1="39984"
    )
    sid = made["container_sid"]
    assert (made["quota_files"], made["durability_class"], made["integer_key_1"]) == (5, "unassigned", 39984), made
    assert client.get("containers", sid) == made
    assert client.get("containers", "00000000-0000-4000-8000-000000000000") == 404
    assert client.exists("containers", "container_sid", 'name eq "calls"')
    assert not client.exists("containers", "container_sid", 'name eq "other"')
    other = client.create("containers", name="archive")["container_sid"]
    names = [item["name"] for item in client.list("containers", order="name desc")]
    assert names == ["calls", "archive"], names
    assert [item["container_sid"] for item in client.list("containers", offset=1, limit=1)] == [other]
    assert client.update("containers", sid, name="greetings", quota_bytes=100)["name"] == "greetings"
    assert client.get("containers", sid)["quota_bytes"] == 100

    described = client.create("files", container_sid=sid, name="a.mp3", string_key_1="k")
    assert (described["file_bytes"], described["mime_type"]) == (0, "audio/mpeg"), described
    assert client.get("files", described["file_sid"]) == described
    assert client.exists("files", "file_sid", "string_key_1 eq k")
    assert client.update("files", described["file_sid"], name="b.mp3")["name"] == "b.mp3"

    # As the reference's own sample uploads, by `curl -F`.
    more = {name: value for name, value in client.headers.items() if name == "Authorization"}
    form = {"file_object": (None, json.dumps({"container_sid": sid})), "data": ("song.mp3", b"x" * 100, "audio/mpeg")}
    auth = None if more else client.auth
    answer = requests.post(f"{base}/files", headers=more, auth=auth, files=form)
    assert answer.status_code == 201, answer.text
    song = answer.json()
    assert (song["file_bytes"], song["name"], song["content_classification"]) == (100, "song.mp3", "media"), song
    assert requests.get(song["publish_uri"]).content == b"x" * 100
    answer = requests.post(f"{base}/files", headers=more, auth=auth, files=form)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0] == {
        "field": "quota_bytes", "message": "container quota exceeded", "reference_sid": sid
    }, answer.text
    for file in client.list("files", filter=f"container_sid eq {sid}"):
        client.delete("files", file["file_sid"])
    for container in (sid, other):
        client.delete("containers", container)


# The login first: with a token in hand, the client asks without one all the same.
run(Client(login=login, password=password))
run(Client(token=token))
print("done")
