"""One connection to the daemon in RESP2: enough to ask and to read an answer. For the benchmarks, one thread."""
import socket


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def value(self):
        head = self.file.readline()
        if not head:
            raise EOFError("the daemon hung up")
        kind, rest = head[:1], head[1:-2].decode()
        if kind == b"-":
            raise RuntimeError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
        if kind == b"*":
            return [self.value() for _ in range(int(rest))]
        return rest

    def send(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))

    def answer(self):
        """Maps are what RESP2 has lists for."""
        answer = self.value()
        return dict(zip(answer[0::2], answer[1::2])) if isinstance(answer, list) else answer

    def ask(self, *words):
        self.send(*words)
        return self.answer()
