"""peer.py SOCKET: a peer that says what it is told, for tests that care who is asking.

Each line of standard input is one request, its words split as a shell splits them. Each reply is
printed as one line of JSON, an error reply as it came, with its minus sign. When the daemon closes
the connection, `closed` is printed and the program ends. Other programs import Peer.
"""
import json
import shlex
import socket
import sys

PATIENCE_S = 60


class Closed(Exception):
    pass


class Error(str):
    """An error reply, without its minus sign."""


def frame(*words):
    """A request as clients send it; words are str or bytes."""
    words = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Peer:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path)
        self.bytes = b""

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, *words):
        self.send(frame(*words))
        return self.reply()

    def _more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed
        self.bytes += data

    def _line(self):
        while b"\r\n" not in self.bytes:
            self._more()
        line, self.bytes = self.bytes.split(b"\r\n", 1)
        return line.decode()

    def _exactly(self, size):
        while len(self.bytes) < size + 2:
            self._more()
        data, self.bytes = self.bytes[:size], self.bytes[size + 2:]
        return data.decode()

    def reply(self):
        """The next reply, in RESP2."""
        line = self._line()
        kind, rest = line[0], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            return Error(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else self._exactly(int(rest))
        if kind == "*":
            return [self.reply() for _ in range(int(rest))]
        raise ValueError("no RESP2: " + line)

    def pairs(self, *words):
        """The reply to a request that is answered with a map."""
        reply = self.ask(*words)
        assert isinstance(reply, list), reply
        return dict(zip(reply[0::2], reply[1::2]))

    def is_closed(self):
        """Waits until the daemon closes the connection; what still comes is thrown away."""
        try:
            while True:
                self.bytes = b""
                self._more()
        except Closed:
            return True


def main():
    peer = Peer(sys.argv[1])
    try:
        for line in sys.stdin:
            try:
                peer.send(frame(*shlex.split(line)))
            except BrokenPipeError:
                pass  # what was answered before can still be read
            reply = peer.reply()
            print("-" + reply if isinstance(reply, Error) else json.dumps(reply), flush=True)
    except Closed:
        print("closed", flush=True)


if __name__ == "__main__":
    main()
