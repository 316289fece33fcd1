#!/usr/bin/python3
"""web_load.py SOCKET|PORT PATH GOOD BAD STOP [PROCESSES]: asks a web server on a unix socket or a port for PATH, over
connections that are kept, with keys from the file GOOD and from the file BAD in turn, one a line, until the
file STOP is there. A connection that ends without an answer is counted and made anew; every answer must be
200 for a good key and 401 for a bad one. Prints "requests R lost L" and ends with 0, or says what was
wrong and ends with 1."""
import os
import socket
import sys
import time


class Link:
    def __init__(self, path):
        self.path, self.link, self.rest = path, None, b""

    def ask(self, request):
        """The status, or None where the connection ended."""
        try:
            if self.link is None:
                is_port = self.path.isdigit()
                self.link, self.rest = socket.socket(socket.AF_INET if is_port else socket.AF_UNIX), b""
                self.link.settimeout(20)
                self.link.connect(("127.0.0.1", int(self.path)) if is_port else self.path)
            self.link.sendall(request)
            return self.answer()
        except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError, FileNotFoundError, EOFError):
            self.link.close()
            self.link = None
            return None

    def more(self):
        data = self.link.recv(65536)
        if not data:
            raise EOFError
        self.rest += data

    def answer(self):
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
        length = int(fields[b"content-length"])
        while len(self.rest) < length:
            self.more()
        self.rest = self.rest[length:]
        if fields.get(b"connection") == b"close":
            self.link.close()
            self.link = None
        return int(lines[0].split()[1])


def requests_of(path, name, wanted):
    with open(name) as file:
        for key in file.read().split():
            yield (f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode(),
                   wanted)


def run(socket_path, path, good, bad, stop):
    plan = [*requests_of(path, good, 200), *requests_of(path, bad, 401)]
    link, count, lost = Link(socket_path), 0, 0
    while not os.path.exists(stop):
        for request, wanted in plan:
            status = link.ask(request)
            if status is None:
                lost += 1
                time.sleep(0.001)
                continue
            count += 1
            if status != wanted:
                print(f"answer {count} was {status}, expected {wanted}")
                return 1
    print(f"requests {count} lost {lost}")
    return 0


def main():
    processes = int(sys.argv[6]) if len(sys.argv) > 6 else 1
    children = []
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            status = run(*sys.argv[1:6])
            sys.stdout.flush()
            os._exit(status)
        children.append(pid)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)


sys.exit(main())
