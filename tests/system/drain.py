"""drain.py ADMIN PID: stops the daemon in its tracks, fills its sockets with requests on connections
that it knows and on some that it has not seen yet, tells it to end, lets it run again, and counts
the answers."""
import os
import signal
import sys

from peer import Closed, Peer, frame

CONNECTIONS = 3  # of either kind
EACH = 100

path, pid = sys.argv[1], int(sys.argv[2])
peers = [Peer(path) for _ in range(CONNECTIONS)]
for peer in peers:
    assert peer.ask("PING") == "PONG"
os.kill(pid, signal.SIGSTOP)
peers += [Peer(path) for _ in range(CONNECTIONS)]
for number, peer in enumerate(peers):
    peer.send(b"".join(frame("KEY.CREATE", "NAME", "%d.%d" % (number, n)) for n in range(EACH)))
os.kill(pid, signal.SIGTERM)
os.kill(pid, signal.SIGCONT)

answered = 0
for peer in peers:
    try:
        for _ in range(EACH):
            answered += isinstance(peer.reply(), list)
    except Closed:
        continue
    assert peer.is_closed()
print(answered, "of", len(peers) * EACH, "answered")
