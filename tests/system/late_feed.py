"""late_feed.py ADMIN: what a subscriber was about to be told when its rights changed is not told. Reads
that take long are put before the daemon's own for the subscriber, so that there is time between."""
import json
import socket
import sys
import time

SLOW_READS = 800


class Client:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(sys.argv[1])
        self.replies = self.socket.makefile("rb")
        self.messages = []

    def send(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def read(self):
        """The next value; None at the end of the connection."""
        head = self.replies.readline()
        kind, rest = head[:1], head[1:].strip()
        if kind == b"$":
            return self.replies.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else ""
        if kind in b"*>%" and head:
            return [self.read() for _ in range(int(rest) * (2 if kind == b"%" else 1))]
        return head.strip().decode() if head else None

    def answer(self):
        """The next reply; messages before it are kept."""
        while True:
            value = self.read()
            if not isinstance(value, list) or value[0] != "message":
                return value
            self.messages.append(json.loads(value[2]))

    def ask(self, line):
        self.send(line)
        return self.answer()

    def create(self, words):
        reply = self.ask("KEY.CREATE " + words)
        return dict(zip(reply[0::2], reply[1::2]))


def busy():
    """Keeps the daemon's reads waiting: when the first is answered, it has taken all of them in."""
    client = Client()
    client.send(*["LOG.VERIFY"] * SLOW_READS)
    client.answer()
    return client


def subscriber(key):
    client = Client()
    client.ask("HELLO 3")
    assert client.ask("AUTH " + key) == "+OK"
    assert client.ask("SUBSCRIBE changes")[0] == "subscribe"
    return client


admin = Client()
admin.send(*["KEY.CREATE NAME n"] * 1000)
for _ in range(1000):
    admin.answer()
acme = admin.create("NAME acme OWNER acme SCOPE catlatch:read SCOPE catlatch:own")
bob = admin.create("NAME bob OWNER bob SCOPE catlatch:read SCOPE catlatch:own")
everybody = admin.create("NAME all OWNER host SCOPE catlatch:read")

listener = subscriber(acme["key"])
held_up = busy()
admin.create("NAME theirs OWNER acme")
assert listener.ask("AUTH " + bob["key"]) == "+OK"
before = len(listener.messages)
own = admin.create("NAME own OWNER bob")
for _ in range(SLOW_READS - 1):
    held_up.answer()
end = time.monotonic() + 30
while not any(change["id"] == own["id"] for change in listener.messages):
    assert time.monotonic() < end, listener.messages
    assert listener.ask("PING") == "+PONG"
assert all(change["owner"] == "bob" for change in listener.messages[before:]), listener.messages

listener = subscriber(everybody["key"])
busy_again = busy()
admin.create("NAME last OWNER acme")
assert admin.ask("KEY.REVOKE " + everybody["id"])[0] == "host"
assert listener.answer() is None
assert all(change["change"] != "revoked" for change in listener.messages), listener.messages
