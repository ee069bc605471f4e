"""A client of the KooDrive API, as its documentation describes one: `requests`, and a signature by `hmac`.

    koodrive.py URL APP_ID APP_SECRET USER_ID TOKEN

The signature is made from the documentation alone. Every step says what it is about; the first that fails ends the run.
"""

import hashlib
import hmac
import sys
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlsplit

import requests

url, app_id, secret, user_id, token = sys.argv[1:]
base = "/koodrive/ose/v1/space"
session = requests.Session()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def signed(method, path, query, body, key, at):
    headers = {
        "host": urlsplit(url).netloc,
        "x-date": at.strftime("%Y%m%dT%H%M%SZ"),
        "x-user-id": user_id,
    }
    names = ";".join(sorted(headers))
    canonical = "\n".join([
        method,
        quote(path, safe="/-_.~") + "/",
        "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items())),
        "".join(f"{name}:{headers[name]}\n" for name in sorted(headers)),
        names,
        sha256(body),
    ])
    to_sign = "HMAC-SHA256\n" + sha256(canonical.encode())
    signature = hmac.new(key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = f"HMAC-SHA256 AppId={app_id},SignedHeaders={names},Signature={signature}"
    return headers


def call(method, path, query=None, body=None, key=secret, at=None, **more):
    data = b"" if body is None else requests.models.complexjson.dumps(body).encode()
    at = at or datetime.now(timezone.utc)
    headers = signed(method, path, query or {}, data, key, at)
    headers.update(more)
    return session.request(method, url + path, params=query, data=data or None, headers=headers)


def expect(answer, code, status=None):
    told = answer.json()
    assert told["code"] == code, f"{answer.request.method} {answer.request.url}: {answer.status_code} {told}"
    assert isinstance(told["code"], int) and isinstance(told["msg"], str), told
    assert answer.status_code == (status or (200 if code == 0 else 400)), (answer.status_code, told)
    assert code == 0 or "data" not in told, told
    return told.get("data")


def figures():
    return [(it["allocateCapacity"], it["totalCapacity"]) for it in expect(call("GET", base + "/allocation/get"), 0)]


def step(what):
    print(what, flush=True)


step("the status of the tenant, signed")
data = expect(call("GET", base + "/allocation/get"), 0)
assert [it["type"] for it in data] == [0, 1, 2], data
assert all(isinstance(value, int) for it in data for value in it.values()), data
start = figures()

step("signatures that do not verify")
now = datetime.now(timezone.utc)
expect(call("GET", base + "/allocation/get", key="wrong"), 13000201, 401)
expect(call("GET", base + "/allocation/get", at=now - timedelta(minutes=16)), 13000201, 401)
expect(call("GET", base + "/allocation/get", at=now + timedelta(minutes=10)), 13000201, 401)
expect(call("GET", base + "/allocation/get", at=now - timedelta(minutes=14)), 0)
expect(call("GET", base + "/allocation/get", **{"x-user-id": "1"}), 13000201, 401)
expect(session.get(url + base + "/allocation/get"), 13000201, 401)

step("languages and trace ids")
assert call("GET", base + "/allocation/get", language="zh-CN").json()["msg"] == "操作成功。"
trace = "0123456789" * 5 + "01234567"
assert call("GET", base + "/allocation/get", **{"X-Traceid": trace}).headers["X-Traceid"] == trace
expect(call("GET", base + "/allocation/get", **{"X-Traceid": trace[1:]}), 13000102)

step("tokens")
for form in (f"Bearer+{token}", f"Bearer {token}", token):
    expect(session.get(url + base + "/allocation/get", headers={"Authorization": form}), 0)

step("spaces")
expect(call("POST", base + "/600", body={"type": 1, "capacity": 5}), 0)
expect(call("POST", base + "/600", body={"type": "0", "capacity": "7"}), 0)
assert figures() == [(start[0][0] + 7, start[0][1]), (start[1][0] + 5, start[1][1]), start[2]], figures()
space = expect(call("GET", base + "/600", {"type": "1"}), 0)
assert space["capacity"] == str(5 * 1024 * 1024) and space["spaceUsed"] == "0", space
assert all(isinstance(value, str) for value in space.values()), space
same = {"type": "1", "containerId": space["containerId"]}
assert expect(call("GET", base + "/600", same), 0) == space
assert expect(call("GET", "/koodrive/ose/v2/space/600", {"type": "1"}), 0) == [space]
expect(call("PUT", base + "/600", body={"type": 1, "capacity": 9}), 0)
expect(call("POST", base + "/601", body={"type": 1, "capacity": start[1][1]}), 13000311)
expect(call("POST", base + "/601", body={"type": 1, "capacity": "x"}), 13000102)
expect(call("GET", base + "/nobody", {"type": "1"}), 13000301)

step("transfers")
before = figures()
body = {"originType": 0, "target": [{"type": 1, "expandCapacity": 10}, {"type": 2, "expandCapacity": 20}]}
expect(call("POST", base + "/allocation/transfer", body=body), 0)
after = figures()
assert [total for _, total in after] == [before[0][1] - 30, before[1][1] + 10, before[2][1] + 20], after
body["target"][0]["expandCapacity"] = after[0][1]
expect(call("POST", base + "/allocation/transfer", body=body), 13000311)
assert figures() == after
expect(call("POST", base + "/allocation/transfer", body={"originType": 1, "target": {"type": 0, "expandCapacity": 10}}), 0)
expect(call("POST", base + "/allocation/transfer", body={"originType": 2, "target": {"type": 0, "expandCapacity": 20}}), 0)

step("the end of spaces")
expect(call("DELETE", base + "/600", {"type": "0"}), 0)
expect(call("DELETE", base + "/600", {"type": "1"}), 0)
expect(call("DELETE", base + "/600", {"type": "1"}), 13000301)
assert figures() == start, figures()
print("done")
