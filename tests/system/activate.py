"""activate.py [-m MODE] [-p] PATH... -- COMMAND...: a service manager in small. Binds and listens on
the paths ("tcp": a socket of another kind), then obeys words on standard input: `start` starts the
command with the sockets as LISTEN_FDS, `stop` ends it, `wait` waits for its end. Prints what it did. With -p the
sockets are passed to another process: LISTEN_PID is not the command's."""
import fcntl
import os
import signal
import socket
import sys

arguments = sys.argv[1:]
mode, other = 0o666, False
while arguments[0].startswith("-"):
    if arguments.pop(0) == "-p":
        other = True
    else:
        mode = int(arguments.pop(0), 8)
split = arguments.index("--")
paths, command = arguments[:split], arguments[split + 1:]

sockets = []
for path in paths:
    if path == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        os.chmod(path, mode)
        listener.listen(64)
    sockets.append(listener)


def become():
    # Out of the way first: the numbers from 3 on can be in use by the originals.
    copies = [fcntl.fcntl(listener, fcntl.F_DUPFD, 100) for listener in sockets]
    for number, copy in enumerate(copies):
        os.dup2(copy, 3 + number, inheritable=True)
        os.close(copy)
    os.environ["LISTEN_FDS"] = str(len(sockets))
    os.environ["LISTEN_FDNAMES"] = ":".join(["catlatchd.socket"] * len(sockets))
    os.environ["LISTEN_PID"] = str(os.getppid() if other else os.getpid())
    os.execvp(command[0], command)


pid = 0
print("listening", flush=True)
for word in sys.stdin:
    if word == "start\n":
        pid = os.fork()
        if pid == 0:
            become()
        print("started", pid, flush=True)
    else:
        if word == "stop\n":
            os.kill(pid, signal.SIGTERM)
        print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        pid = 0
if pid:
    os.kill(pid, signal.SIGKILL)
