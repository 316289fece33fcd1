"""python_latch.py CASE: one case of what plugin/python says of keys, with the daemon of
CATLATCH_CONFIG. Fails with a traceback."""
import gc
import json
import os
import subprocess
import sys
import threading
import time

from catlatch import CatlatchError, Error, Latch, Limit, Result, abi

CONFIG = os.environ["CATLATCH_CONFIG"]
NO_KEY = "cc_live_0000000000000000000000000000000000000i6yS3"


def tool(*arguments):
    said = subprocess.run(["catlatch", *arguments], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout


def made(*options):
    """A new key: its id and its text."""
    answer = json.loads(tool("create", "--json", "--name", "k", *options))
    return answer["id"], answer["key"]


def until(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("never came true")


def raises(kind, text, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as error:
        assert text in str(error), error
        return error
    raise AssertionError(f"no {kind.__name__}")


def every_result_is_told():
    with Latch(CONFIG) as latch, Latch(CONFIG, "closed") as closed:
        id, key = made("--owner", "acme", "--scope", "read", "--scope", "write", "--expires", "90d")

        def expect(result, status, by=latch, **asked):
            outcome = by.verify(**asked)
            assert (outcome.result, outcome.http_status) == (result, status), outcome
            return outcome

        def refused(change, result):
            refused_id, refused_key = made()
            tool(*change, refused_id)
            outcome = expect(result, 401, key=refused_key)
            assert outcome.matched and outcome.identity.key_id == refused_id

        outcome = expect(Result.VALID, 200, key=key, scopes=("write", "read"))
        identity = outcome.identity
        assert outcome.matched and outcome.limit is None and outcome.retry_after is None
        assert (identity.key_id, identity.owner, identity.name) == (id, "acme", "k")
        assert (identity.environment, identity.scopes) == ("live", ("read", "write"))
        assert key.startswith(identity.prefix) and identity.not_before_unix_s == 0
        assert 89 * 86400 < identity.expires_unix_s - time.time() < 91 * 86400
        for authorization in (f"Bearer {key}", f"bearer  {key} ".encode()):
            expect(Result.VALID, 200, authorization=authorization)
        expect(Result.INVALID_REQUEST, 400, key=key, authorization=f"Bearer {key}")
        missing = expect(Result.MISSING, 401)
        assert not missing.matched and missing.identity is None
        for nothing in ("", "Basic Og==", "Bearerx " + key):
            expect(Result.MISSING, 401, authorization=nothing)
        for malformed in ("", key[:-1], "\u00e4\0\ud800", b"\xff"):
            expect(Result.MALFORMED, 401, key=malformed)
        expect(Result.NOT_FOUND, 401, key=NO_KEY)
        refused(("revoke", "--yes"), Result.REVOKED)
        refused(("disable",), Result.DISABLED)
        refused(("update", "--set", "expires=now"), Result.EXPIRED)
        expect(Result.NOT_YET_VALID, 401, key=made("--not-before", "2099-01-01T00:00:00Z")[1])
        expect(Result.WRONG_ENVIRONMENT, 401, key=made("--env", "test")[1])
        assert expect(Result.INSUFFICIENT_SCOPE, 403, key=key, scopes=["admin"]).matched
        confined = made("--allow", "192.0.2.0/24")[1]
        expect(Result.VALID, 200, key=confined, address="192.0.2.7")
        expect(Result.IP_NOT_ALLOWED, 403, key=confined, address="198.51.100.7")
        expect(Result.IP_NOT_ALLOWED, 403, key=confined)
        expect(Result.DENIED, 403, by=closed, key=key)


def limits_are_told():
    with Latch(CONFIG) as latch:
        limited = made("--rate", "2/366d")[1]
        outcome = latch.verify(key=limited)
        assert outcome.limit.remaining == 1 and outcome.retry_after is None, outcome.limit
        latch.verify(key=limited)
        outcome = latch.verify(key=limited)
        assert (outcome.result, outcome.http_status) == (Result.RATE_LIMITED, 429)
        limit = outcome.limit
        assert (limit.count, limit.period_s, limit.burst, limit.remaining) == (2, 366 * 86400, 2, 0)
        assert 0 <= 183 * 86400 - outcome.retry_after < 600
        assert limit.retry_after_ms <= limit.reset_ms
        spent = made("--uses", "1")[1]
        assert latch.verify(key=spent).result is Result.VALID
        outcome = latch.verify(key=spent)
        assert (outcome.result, outcome.http_status) == (Result.USAGE_EXCEEDED, 403)
        assert outcome.limit == Limit(0, 0, 0, 0, None, None) and outcome.retry_after is None
        monthly = made("--uses", "1/366d")[1]
        latch.verify(key=monthly)
        outcome = latch.verify(key=monthly)
        assert (outcome.result, outcome.http_status) == (Result.USAGE_EXCEEDED, 429)
        assert 0 <= 366 * 86400 - outcome.retry_after < 600


def known_keys_are_asked_about_again():
    with Latch(CONFIG) as latch, Latch(CONFIG) as other:
        id, key = made("--scope", "read", "--allow", "192.0.2.0/24", "--rate", "1/366d")
        outcome = latch.verify(key=key, address="192.0.2.7")
        assert outcome.recheck(address="192.0.2.7") is Result.VALID  # and not charged
        assert outcome.recheck(address="198.51.100.7") is Result.IP_NOT_ALLOWED
        assert outcome.recheck(scopes=("read",), address="192.0.2.7") is Result.VALID
        assert outcome.recheck(scopes=("write",), address="192.0.2.7") is Result.INSUFFICIENT_SCOPE
        assert other.recheck(outcome, address="192.0.2.7") is Result.VALID
        tool("revoke", "--yes", id)
        assert outcome.recheck(address="192.0.2.7") is Result.REVOKED
        assert outcome.result is Result.VALID
        assert latch.verify().recheck() is Result.MISSING
        assert latch.refresh() is True


def what_makes_no_sense_is_an_error():
    error = raises(CatlatchError, "/nonexistent", Latch, "/nonexistent")
    assert error.code is Error.NOT_FOUND
    error = raises(CatlatchError, "nosuch", Latch, CONFIG, "nosuch")
    assert error.code is Error.NOT_FOUND
    error = raises(CatlatchError, "socket", Latch, CONFIG, "asking")
    assert error.code is Error.CONFIG
    assert str(CatlatchError(Error.FULL)) == abi.quick.strerror(Error.FULL).decode()
    latch = Latch(CONFIG)
    raises(TypeError, "tuple", latch.verify, key="x", scopes="read")
    raises(ValueError, "NUL", latch.verify, key="x", scopes=("a\0b",))
    raises(ValueError, "NUL", latch.verify, key="x", address="a\0b")
    key = made()[1]
    outcome = latch.verify(key=key)
    latch.close()
    latch.close()
    for use in (latch.verify, latch.refresh, outcome.recheck, lambda: outcome.identity):
        raises(ValueError, "closed", use)


def the_daemon_is_asked_where_that_is_meant():
    id, key = made("--owner", "acme", "--scope", "read")
    with Latch(CONFIG, "asking", may_block=True) as latch:
        outcomes = []
        threads = [
            threading.Thread(target=lambda: outcomes.append(latch.verify(key=key, scopes=("read",))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [outcome.result for outcome in outcomes] == [Result.VALID] * 4
        for outcome in outcomes:
            identity = outcome.identity
            assert (identity.key_id, identity.owner, identity.scopes) == (id, "acme", ("read",))
        assert latch.verify(key=NO_KEY).identity is None
        tool("revoke", "--yes", id)
        assert latch.verify(key=key).result is Result.REVOKED
    raises(ValueError, "closed", latch.verify, key=key)


def ends_well(work):
    """In a process of its own; gives its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def await_all(children):
    for pid in children:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def forked_processes_refuse_what_was_revoked():
    latch = Latch(CONFIG)
    id, key = made()
    assert latch.verify(key=key).result is Result.VALID
    told, tell = os.pipe()

    def work():
        os.close(tell)
        assert latch.verify(key=key).result is Result.VALID
        assert latch.verify(key=key).identity.key_id == id
        os.read(told, 1)  # until it was revoked
        assert latch.verify(key=key).result is Result.REVOKED
        latch.close()

    children = [ends_well(work) for _ in range(4)]
    tool("revoke", "--yes", id)
    os.close(tell)
    assert latch.verify(key=key).result is Result.REVOKED
    await_all(children)


def threads_and_forks_do_not_disturb_each_other():
    latch, good, bad = Latch(CONFIG), made()[1], made()
    tool("revoke", "--yes", bad[0])
    end, counts = threading.Event(), []

    def check():
        assert latch.verify(key=good).result is Result.VALID
        assert latch.verify(key=bad[1]).result is Result.REVOKED

    def work():
        count = 0
        while not end.is_set():
            check()
            latch.refresh()
            count += 1
        counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        await_all([ends_well(check)])
    end.set()
    for thread in threads:
        thread.join()
    assert len(counts) == 3 and min(counts) > 0, counts


def a_hundred_thousand_take_no_memory():
    def resident():
        gc.collect()
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

    limited = made("--rate", "1000000/1s")[1]
    with Latch(CONFIG) as latch:

        def verify(count):
            for i in range(count):
                outcome = latch.verify(authorization=f"Bearer {limited}", scopes=("none", str(i % 500)))
                assert outcome.result is Result.INSUFFICIENT_SCOPE and outcome.limit is None
                outcome = latch.verify(key=limited, address="192.0.2.7")
                assert outcome.limit.count == 1000000 and outcome.identity.scopes == ()

        verify(2000)
        before = resident()
        verify(50000)
        after = resident()
        print(f"{before} KiB before, {after} KiB after")
        assert after <= before + 256
    for _ in range(20):
        Latch(CONFIG).close()
    opened = resident()
    for _ in range(100):
        Latch(CONFIG).verify(key=limited)  # closed when nobody has it any more
    assert resident() <= opened + 256, (opened, resident())


def an_outage_is_no_denial():
    """The daemon is there when a line of standard input says so, and gone when the next one does."""
    latch = Latch(CONFIG)
    outcome = latch.verify(key=NO_KEY)
    assert (outcome.result, outcome.http_status) == (Result.UNAVAILABLE, 503)
    assert outcome.retry_after == 5 and outcome.identity is None and latch.refresh() is False
    print("ready", flush=True)
    sys.stdin.readline()
    id, key = made()
    until(lambda: latch.verify(key=key).result is Result.VALID)
    print("served", flush=True)
    sys.stdin.readline()
    assert latch.verify(key=key).result is Result.VALID
    assert latch.verify(key=NO_KEY).result is Result.NOT_FOUND


if __name__ == "__main__":
    globals()[sys.argv[1]]()
