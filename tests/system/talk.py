"""talk.py SOCKET [stay]: sends each line of standard input as an inline request, prints what comes back
flattened, a value a line, and "closed" when the daemon hangs up: it does so once the input has ended
and everything was answered, unless told to stay."""
import socket
import sys
import threading

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
replies = connection.makefile("rb")


def show(text):
    print(text, flush=True)


def value():
    """Prints one value; an aggregate's elements each."""
    head = replies.readline()
    if not head:
        show("closed")
        sys.exit(0)
    kind, rest = head[:1], head[1:].strip().decode()
    if kind == b"$":
        size = int(rest)
        show(replies.read(size + 2)[:-2].decode() if size >= 0 else "null")
    elif kind in b"*>":
        for _ in range(int(rest)):
            value()
    elif kind == b"%":
        for _ in range(2 * int(rest)):
            value()
    else:
        show(rest)


def send():
    for line in sys.stdin:
        connection.sendall(line.encode())
    if sys.argv[2:] != ["stay"]:
        connection.shutdown(socket.SHUT_WR)


threading.Thread(target=send, daemon=True).start()
while True:
    value()
