"""redis_py.py VERIFY ADMIN: what a Python application would do with redis-py. The key is on stdin."""
import sys

import redis

verify_path, admin_path = sys.argv[1:]
key = sys.stdin.readline().strip()


def pairs(reply):
    return dict(zip(reply[0::2], reply[1::2]))


verify = redis.Redis(unix_socket_path=verify_path, decode_responses=True)
assert verify.ping() is True
assert verify.echo("hello") == "hello"
assert pairs(verify.execute_command("KEY.VERIFY", key))["result"] == "valid"
assert pairs(verify.execute_command("KEY.VERIFY", "cc_live_nothing"))["result"] == "malformed"
assert int(verify.info()["loading"]) == 0
assert verify.config_get("save") == {"save": ""}, verify.config_get("save")
assert isinstance(verify.client_id(), int)
verify.client_setname("worker")
assert verify.client_getname() == "worker"

with verify.pipeline(transaction=False) as pipe:
    for _ in range(1000):
        pipe.execute_command("KEY.VERIFY", key)
    replies = pipe.execute()
assert len(replies) == 1000 and all(pairs(r)["result"] == "valid" for r in replies)

try:
    verify.execute_command("KEY.LIST")
except redis.exceptions.NoPermissionError as error:
    assert "needs the right read" in str(error), error
else:
    raise AssertionError("KEY.LIST was answered on the verify socket")

# A connection that authenticates with a key has that key's rights.
admin = redis.Redis(unix_socket_path=admin_path, password=key, decode_responses=True)
made = pairs(admin.execute_command("KEY.CREATE", "NAME", "by python", "SCOPE", "a", "SCOPE", "b"))
assert made["scopes"] == ["a", "b"] and made["key"].startswith("cc_live_")
assert pairs(verify.execute_command("KEY.VERIFY", made["key"], "SCOPE", "b"))["result"] == "valid"
receipt = pairs(admin.execute_command("KEY.REVOKE", made["id"], "REASON", "unused"))
assert receipt["count"] == 1 and pairs(receipt["keys"][0])["state"] == "revoked"
assert pairs(verify.execute_command("KEY.VERIFY", made["key"]))["result"] == "revoked"
print("redis-py", redis.__version__, "is content")
