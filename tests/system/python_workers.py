"""python_workers.py SOCKET STATUS COUNT < KEY: asks a web server on a unix socket until COUNT of its
workers have answered, which say in X-Worker who they are. Ends with 1 at any other status."""
import re
import socket
import sys
import threading

path, status, count = sys.argv[1], sys.argv[2].encode(), int(sys.argv[3])
key = sys.stdin.readline().strip()
request = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n".encode()
workers, wrong = set(), []


def ask():
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(path)
        link.sendall(request)
        said = b""
        while data := link.recv(65536):
            said += data
    return said


def work():
    for _ in range(1000):
        if len(workers) >= count or wrong:
            return
        said = ask()
        if said.split(b" ")[1:2] != [status]:
            wrong.append(said)
        else:
            workers.add(re.search(rb"(?i)x-worker: (\d+)", said).group(1))


threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
if wrong or len(workers) < count:
    sys.exit(f"{len(workers)} workers answered {status.decode()}; wrong: {wrong[:1]}")
