"""limits.py VERIFY ADMIN CASE: one case of what a peer may not do, or may. Fails with a traceback;
whether the daemon is still well is for the caller to see."""
import socket
import sys
import threading
import time

from peer import Closed, Error, Peer, frame

ARGUMENTS_MAX = 16384
ARGUMENT_MAX = 65536
REQUEST_MAX = 1048576
LINE_MAX = 65536
UNSENT_MAX = 4 << 20
RESERVED = 32  # connections for peers with more than `verify`

verify_path, admin_path, case = sys.argv[1:4]
verify = lambda: Peer(verify_path)
admin = lambda: Peer(admin_path)


def refused(data, why):
    """The bytes are answered with one protocol error, and the connection is closed."""
    peer = verify()
    assert peer.ask("PING") == "PONG"
    try:
        peer.send(data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it need not read to the end what it refuses
    reply = peer.reply()
    assert isinstance(reply, Error) and reply.startswith("ERR Protocol error: "), reply
    assert why in reply, reply
    assert peer.is_closed()


def taken(data):
    """The bytes are a request that is answered, by whatever."""
    peer = verify()
    peer.send(data)
    reply = peer.reply()
    assert "Protocol error" not in str(reply), reply
    assert peer.ask("PING") == "PONG"
    return reply


def arguments():
    taken(frame("PING", *["x"] * (ARGUMENTS_MAX - 1)))
    refused(frame("PING", *["x"] * ARGUMENTS_MAX), "more than 16384 arguments")
    refused(b"*16385\r\n", "more than 16384 arguments")
    refused(b"*9999999999\r\n", "more than 16384 arguments")
    taken(b" ".join([b"PING"] + [b"x"] * (ARGUMENTS_MAX - 1)) + b"\r\n")
    refused(b" ".join([b"PING"] + [b"x"] * ARGUMENTS_MAX) + b"\r\n", "more than 16384 arguments")


def argument():
    assert len(taken(frame("ECHO", "x" * ARGUMENT_MAX))) == ARGUMENT_MAX
    refused(frame("ECHO", "x" * (ARGUMENT_MAX + 1)), "longer than 65536 bytes")
    refused(b"*2\r\n$4\r\nECHO\r\n$65537\r\n", "longer than 65536 bytes")


def request():
    whole = frame("PING", *["x" * 65000] * 16)
    assert len(whole) < REQUEST_MAX
    taken(whole)
    rest = REQUEST_MAX - len(whole) - len(b"$0000\r\n\r\n")
    # One digit less than *18 has; so the frame is as long as allowed to the byte.
    exact = frame("PING", *["x" * 65000] * 16, "x" * rest)
    exact = exact if len(exact) == REQUEST_MAX else frame(
        "PING", *["x" * 65000] * 16, "x" * (rest + REQUEST_MAX - len(exact)))
    assert len(exact) == REQUEST_MAX
    taken(exact)
    refused(frame("PING", *["x" * 65000] * 16, "x" * 9000), "longer than 1048576 bytes")


def line():
    taken(b"ECHO " + b"x" * (LINE_MAX - 5) + b"\n")
    refused(b"ECHO " + b"x" * (LINE_MAX - 4) + b"\n", "longer than 65536 bytes")
    refused(b"x" * (LINE_MAX + 2), "longer than 65536 bytes")


def lengths():
    refused(b"*12345678901\r\n", "more than 10 digits")
    refused(b"*2\r\n$12345678901\r\n", "more than 10 digits")
    for bad in (b"*-1\r\n", b"*\r\n", b"*x\r\n", b"* 1\r\n", b"*1\n", b"*1\rx", b"*+1\r\n",
                b"*1\r\n$-1\r\n", b"*1\r\n$\r\n", b"*1\r\n$4x\r\nPING\r\n", b"*1\r\n$0x4\r\nPING\r\n"):
        refused(bad, "not a number that ends with CRLF")
    refused(b"*1\r\n:4\r\n", "expected '$'")
    refused(b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$'")
    refused(b"*1\r\n$3\r\nPING\r\n", "does not end with CRLF")
    refused(b"PING \"unbalanced\r\n", "unbalanced quotes")


def garbage():
    """Other protocols and noise: an answer or none, and never more."""
    noise = [bytes(range(256)), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
             b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 5000, b"\xff" * 70000,
             b"\r\n" * 1000, b"*0\r\n" * 1000, b"SSH-2.0-x\r\n", b"%1\r\n+a\r\n+b\r\n",
             b"$4\r\nPING\r\n", b"*3\r\n$8\r\nKEY.LIST\r\n$0\r\n\r\n$2\r\n\0\0\r\n"]
    for data in noise:
        for path in (verify_path, admin_path):
            peer = Peer(path)
            try:
                peer.send(data)
                peer.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            assert peer.is_closed()
    peer = verify()
    peer.send(b"\r\n\r\n*0\r\n\n")  # nothing was asked, so nothing is answered
    assert peer.ask("PING") == "PONG"


def nul_bytes():
    peer = admin()
    assert peer.pairs("KEY.VERIFY", "cc_live_\0" + "x" * 41)["result"] == "malformed"
    made = peer.pairs("KEY.CREATE", "NAME", "whole")
    assert peer.pairs("KEY.VERIFY", made["key"] + "\0")["result"] == "malformed"
    assert peer.pairs("KEY.VERIFY", made["key"] + "\0x")["result"] == "malformed"
    for words in (("KEY.CREATE", "NAME", "a\0b"), ("KEY.CREATE", "NAME", "a", "OWNER", "o\0p"),
                  ("KEY.CREATE", "NAME", "a", "SCOPE", "s\0t"), ("KEY.CREATE", "NAME\0", "a"),
                  ("KEY.GET", made["id"] + "\0"), ("OWNER.GET", "default\0")):
        reply = peer.ask(*words)
        assert isinstance(reply, Error) and reply.split()[0] in ("INVALID", "NOTFOUND"), (words, reply)
    assert peer.ask("PING\0").startswith("ERR unknown command")
    assert len(peer.pairs("KEY.LIST")["keys"]) == 1


def halves():
    """Requests that never become whole leave nothing behind."""
    whole = frame("KEY.CREATE", "NAME", "half")
    for size in range(len(whole)):
        peer = admin()
        peer.send(whole[:size])
        if size % 2:
            peer.socket.close()
        else:
            peer.socket.shutdown(socket.SHUT_WR)
            assert peer.is_closed()
    assert admin().pairs("KEY.LIST")["keys"] == []
    peer = admin()  # what was whole is answered, though the peer says no more
    peer.send(whole + whole[:-1])
    peer.socket.shutdown(socket.SHUT_WR)
    assert isinstance(peer.reply(), list)
    assert peer.is_closed()


def byte_by_byte():
    slow, quick = verify(), verify()
    for byte in frame("PING") + frame("ECHO", "x" * 300) + b"PING\r\n":
        slow.send(bytes([byte]))
        assert quick.ask("PING") == "PONG"
    assert [slow.reply() for _ in range(3)] == ["PONG", "x" * 300, "PONG"]


def unread(path, data, count):
    """Sends a request again and again and reads nothing. Returns how many were taken in before the
    daemon stopped reading."""
    peer = Peer(path)
    peer.socket.settimeout(1)
    sent = 0
    try:
        while sent < count * len(data):
            at = sent % len(data)
            sent += peer.socket.send(data[at:])
    except socket.timeout:
        pass
    peer.socket.settimeout(60)
    return peer, sent


def memory_kib(pid):
    with open("/proc/%s/status" % pid, encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmRSS"].split()[0])


def bounded(path, data, count, look_at=None):
    """The daemon stops reading before it has `count` answers, and takes little memory; requests
    that it took are answered once the peer reads, all of them or as many as are looked at."""
    other = admin()
    pid = other.pairs("STATS")["pid"]
    before = memory_kib(pid)
    peer, sent = unread(path, data, count)
    assert sent < count * len(data), "everything was read"
    while other.pairs("STATS")["queued"] > 0:  # the store may be at it still
        pass
    other.ask("KEY.LIST", "LIMIT", "1")
    grown = memory_kib(pid) - before
    assert grown < 256 << 10, "%d KiB for one peer's replies" % grown
    for _ in range(look_at or sent // len(data)):
        reply = peer.reply()
        assert not isinstance(reply, Error), reply


def unread_replies():
    bounded(verify_path, frame("ECHO", "x" * 60000), 2000)
    bounded(verify_path, frame("COMMAND", "DOCS"), 20000)


def unread_lists():
    """One page is small to ask for and large to answer, and the store answers it later."""
    peer = admin()
    names = ["%d %s" % (n, "x" * 240) for n in range(1000)]
    for start in range(0, 1000, 100):
        peer.send(b"".join(frame("KEY.CREATE", "NAME", name, "COMMENT", "x" * 1000)
                           for name in names[start:start + 100]))
        for _ in range(100):
            assert isinstance(peer.reply(), list)
    bounded(admin_path, frame("KEY.LIST", "LIMIT", "1000"), 20000, look_at=10)


def hold_replies():
    peer, _ = unread(verify_path, frame("ECHO", "x" * 60000), 2000)
    print("held", flush=True)
    sys.stdin.read()
    del peer


def clients():
    """max_clients = 8: that many, then a word and the end; 32 more for those who can revoke."""
    full = "ERR max number of clients reached"
    first = [verify() for _ in range(8)]
    assert all(peer.ask("PING") == "PONG" for peer in first)
    ninth = verify()
    assert ninth.ask("PING").startswith(full)
    assert ninth.is_closed()
    silent = verify()
    assert silent.reply().startswith(full)  # it is told without a question, too
    assert silent.is_closed()
    operators = [admin() for _ in range(RESERVED)]
    assert all(peer.ask("PING") == "PONG" for peer in operators)
    made = operators[-1].pairs("KEY.CREATE", "NAME", "in need")
    assert operators[-1].pairs("KEY.REVOKE", made["id"])["count"] == 1
    over = admin()
    assert over.ask("PING").startswith(full)
    assert over.is_closed()
    crowd = [verify() for _ in range(100)]  # more than are told why
    assert all(peer.is_closed() for peer in crowd)
    assert all(peer.ask("PING") == "PONG" for peer in first + operators)
    for peer in operators + first[1:]:
        assert peer.ask("QUIT") == "OK" and peer.is_closed()
    assert verify().ask("PING") == "PONG"


def idle():
    """idle_timeout = 2s: whoever says nothing, or half a request, is sent away; who speaks is not."""
    speaker, silent, half = verify(), verify(), verify()
    half.send(b"*1\r\n$4\r\nPI")
    operator = admin()
    assert operator.ask("PING") == "PONG"
    begun = time.monotonic()
    for peer in (silent, half, operator):
        peer.socket.setblocking(False)
    waiting = {silent, half, operator}
    while waiting:
        assert speaker.ask("PING") == "PONG"
        for peer in list(waiting):
            try:
                if peer.socket.recv(1) == b"":
                    waiting.discard(peer)
            except BlockingIOError:
                pass
            except ConnectionResetError:
                waiting.discard(peer)
        assert time.monotonic() - begun < 60, "idle connections stay"
    assert time.monotonic() - begun > 1.5, "closed before the time was up"
    assert speaker.ask("PING") == "PONG"


def pipeline():
    """More at once than are in flight: every answer comes, in order."""
    peer = admin()
    names = ["n%d" % n for n in range(3000)]
    data = b"".join(frame("KEY.CREATE", "NAME", name) for name in names)
    sender = threading.Thread(target=peer.send, args=(data,))
    sender.start()
    for name in names:
        made = peer.reply()
        assert made[made.index("name") + 1] == name
    sender.join()


def values():
    peer = admin()
    good = [
        ("NAME", "x" * 255), ("NAME", "é" * 127), ("NAME", "n", "OWNER", "o" * 255),
        ("NAME", "n", "COMMENT", "c" * 1024), ("NAME", "n", "SCOPE", "s" * 64),
        ("NAME", "n", *[w for n in range(32) for w in ("SCOPE", "s%d" % n)]),
        ("NAME", "n", *[w for n in range(32) for w in ("META", "m%d" % n, "v")]),
        ("NAME", "n", "META", "m" * 64, "v" * 1024), ("NAME", "n", "EXPIRES", "9999-12-31"),
        ("NAME", "n", "SCOPE", "orders:read/*?[a]{b}|!#$%&'()+,-.;<=>@^_`~"),
        ("NAME", "𝒦ey ключ 鍵"),
    ]
    bad = [
        ("NAME", ""), ("NAME", "x" * 256), ("NAME", "é" * 128), ("NAME", "n", "OWNER", "o" * 256),
        ("NAME", "n", "OWNER", ""), ("NAME", "n", "COMMENT", "c" * 1025),
        ("NAME", b"\xff\xfe"), ("NAME", b"\xc0\x80"), ("NAME", b"\xed\xa0\x80"), ("NAME", b"a\xf4\x90\x80\x80"),
        ("NAME", "a\nb"), ("NAME", "a\tb"), ("NAME", "\x1b[31m"), ("NAME", "a\x7f"), ("NAME", "\u0085"),
        ("NAME", "n", "OWNER", "o\r\n"), ("NAME", "n", "COMMENT", "c\x07"),
        ("NAME", "n", "SCOPE", ""), ("NAME", "n", "SCOPE", "a b"), ("NAME", "n", "SCOPE", "a\"b"),
        ("NAME", "n", "SCOPE", "a\\b"), ("NAME", "n", "SCOPE", "é"), ("NAME", "n", "SCOPE", "s" * 65),
        ("NAME", "n", *[w for n in range(33) for w in ("SCOPE", "s%d" % n)]),
        ("NAME", "n", *[w for n in range(33) for w in ("META", "m%d" % n, "v")]),
        ("NAME", "n", "META", "", "v"), ("NAME", "n", "META", "a b", "v"), ("NAME", "n", "META", "m" * 65, "v"),
        ("NAME", "n", "META", "m", "v" * 1025), ("NAME", "n", "META", "m", "v\n"),
        ("NAME", "n", "META", "m", "1", "META", "m", "2"), ("NAME", "n", "META", "m"),
        ("NAME", "n", "EXPIRES", "2001-01-01"), ("NAME", "n", "EXPIRES", "now"), ("NAME", "n", "EXPIRES", "0s"),
        ("NAME", "n", "EXPIRES", "-1d"), ("NAME", "n", "EXPIRES", "soon"), ("NAME", "n", "EXPIRES", "10000-01-01"),
        ("NAME", "n", "EXPIRES", "2027-02-30"), ("NAME", "n", "EXPIRES", "99999999999999999999d"),
        ("NAME", "n", "EXPIRES", "9000y"), ("NAME", "n", "EXPIRES", "1969-12-31T23:59:59Z"),
        ("NAME", "n", "NOT_BEFORE", "2099-01-01", "EXPIRES", "2098-01-01"),
        ("NAME", "n", "ENV", "prod"), ("NAME", "n", "ENV", ""), ("NAME", "n", "ENV", "e" * 300),
        ("NAME", "a", "NAME", "b"), ("NAME", "n", "COLOUR", "red"), ("OWNER", "o"),
    ]
    for words in good:
        assert isinstance(peer.ask("KEY.CREATE", *words), list), words
    made = peer.pairs("KEY.LIST", "LIMIT", "1000")["keys"]
    assert len(made) == len(good)
    for words in bad:
        reply = peer.ask("KEY.CREATE", *words)
        assert isinstance(reply, Error) and reply.split()[0] in ("INVALID", "ERR"), (words, reply)
        assert "\n" not in reply and reply.isprintable(), reply
    key_id = made[0][made[0].index("id") + 1]
    for words in (("name", ""), ("name", "x" * 256), ("name", b"\xff"), ("name", "a\nb"), ("owner", "o"),
                  ("environment", "test"), ("scopes", "a\"b"), ("scopes", "s" * 65),
                  ("scopes", " ".join("s%d" % n for n in range(33))), ("meta.", "v"), ("meta.a b", "v"),
                  ("meta.m", "v" * 1025), ("comment", "c" * 1025), ("expires", "soon"), ("expires", "9000y"),
                  ("not_before", "-1d"), ("state", "active"), ("id", "key_aaaaaaaaaaaaa")):
        reply = peer.ask("KEY.UPDATE", key_id, "SET", *words)
        assert isinstance(reply, Error) and reply.split()[0] == "INVALID", (words, reply)
    assert peer.pairs("KEY.LIST", "LIMIT", "1000")["keys"] == made


def pasted_keys():
    """A key in the wrong place is neither kept nor repeated. It comes on standard input."""
    key = sys.stdin.readline().strip()
    peer = admin()
    made = peer.pairs("KEY.CREATE", "NAME", "another")["id"]
    inside = "see " + key + "!"
    for words in (
            ("KEY.CREATE", "NAME", key), ("KEY.CREATE", "NAME", inside),
            ("KEY.CREATE", "NAME", "n", "OWNER", key), ("KEY.CREATE", "NAME", "n", "COMMENT", inside),
            ("KEY.CREATE", "NAME", "n", "SCOPE", key), ("KEY.CREATE", "NAME", "n", "SCOPE", "catlatch:" + key),
            ("KEY.CREATE", "NAME", "n", "META", "m", inside), ("KEY.CREATE", "NAME", "n", "META", key, "v"),
            ("KEY.CREATE", "NAME", "n", "ENV", key), ("KEY.CREATE", "NAME", "n", "EXPIRES", key),
            ("KEY.CREATE", "NAME", "n", key, "v"), ("KEY.CREATE", key, "n"),
            ("KEY.UPDATE", made, "SET", "name", inside), ("KEY.UPDATE", made, "SET", "comment", key),
            ("KEY.UPDATE", made, "SET", "scopes", key), ("KEY.UPDATE", made, "SET", "scopes", key + "," + key),
            ("KEY.UPDATE", made, "SET", "meta.m", key), ("KEY.UPDATE", made, "SET", "meta." + key, "v"),
            ("KEY.UPDATE", made, "SET", key, "v"),
            ("KEY.CREATE", "NAME", "n", "RATE", key), ("KEY.CREATE", "NAME", "n", "RATE", "1/1s," + key),
            ("KEY.CREATE", "NAME", "n", "USES", key), ("KEY.CREATE", "NAME", "n", "ALLOW", key),
            ("KEY.UPDATE", made, "SET", "rate", key), ("KEY.UPDATE", made, "SET", "uses", key),
            ("KEY.UPDATE", made, "SET", "allow", key),
            ("OWNER.UPDATE", "default", "SET", "rate", key), ("OWNER.UPDATE", "default", "SET", key, "1/1s"),
            ("OWNER.UPDATE", "default", "SET", "rate", "1/1s", "COMMENT", inside),
            ("OWNER.UPDATE", key, "SET", "rate", "1/1s"),
            ("KEY.DISABLE", made, "COMMENT", inside), ("KEY.REVOKE", made, "COMMENT", key),
            ("KEY.REVOKE", made, "REASON", key), ("KEY.REVOKE", key), ("KEY.REVOKE", made, key), ("KEY.GET", key),
            ("KEY.ROTATE", made, "GRACE", key), ("KEY.ROTATE", key), ("KEY.ENABLE", key),
            ("OWNER.SUSPEND", "default", "COMMENT", inside), ("OWNER.SUSPEND", key), ("OWNER.RESUME", key),
            ("OWNER.GET", key), ("KEY.LIST", "CURSOR", key), ("KEY.LIST", "PREFIX", key),
            ("KEY.VERIFY", key, "SERVICE", key), ("KEY.VERIFY", key, key), ("KEY.VERIFY", key, "SCOPE", key + key),
            (key,), ("STATS", key), ("RELOAD", key), ("HELLO", key), ("SELECT", key), ("CLIENT", key),
            ("COMMAND", key), ("CONFIG", key, key), ("AUTH", key), ("AUTH", "default", key)):
        reply = peer.ask(*words)
        assert key[:24] not in str(reply), words  # nor a part beyond what lists show
        assert isinstance(reply, Error), (words, reply)
    kept = peer.pairs("KEY.GET", made)
    assert kept["state"] == "active" and kept["name"] == "another", kept


globals()[case]()
