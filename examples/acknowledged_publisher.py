"""Publish each line of standard input as a message, exactly once, whatever happens to the connection.

python3 acknowledged_publisher.py NAME [HOST PORT]

The first line is the first message of NAME. Started again with the same name and the same input, it goes on behind the
last line that the relay has accepted.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from select import select

CONTROL = 0x8000_0000  # this bit of a header says that what follows is a control frame, and no message
HEARTBEAT = 2  # seconds; the connection is dead if nothing at all comes for three of them
MOST = 1000  # messages that may wait to be acknowledged before more input is read
waiting = []  # frames that are not acknowledged
accepted = skip = None  # messages of NAME that are; lines of the input that were, before we began
rest, ended = b"", False  # of the input: a line that is not whole; whether that was all
pause = 0.1  # seconds until the next attempt


def frame(data, kind=0):
    return (kind + len(data)).to_bytes(4, "big") + data


def hear(stream):
    """Wait for what the relay says next, and take it down. Raises OSError if the connection is lost."""
    global accepted, skip, pause
    said = json.loads(stream.read(int.from_bytes(stream.read(4), "big") & ~CONTROL) or "null")
    if said is None:
        raise OSError("the relay closed the connection")
    if said["type"] == "error" or said.get("reason") == "replaced":
        sys.exit(f"relay at {host}:{port}: {said.get('message', 'another publisher has this name now')}")
    pause = 0.1 if said["type"] == "welcome" else said.get("retry", pause)
    if accepted is None:  # the first welcome
        accepted = skip = said["accepted"]
    before, accepted = accepted, said.get("accepted", accepted)
    if before <= accepted <= before + len(waiting) and said.get("known", True):
        del waiting[: accepted - before]
    elif waiting:
        print(f"relay at {host}:{port}: it has forgotten us: messages may come twice", file=sys.stderr)


def publish(relay, stream):
    """Publish until all is acknowledged. Raises OSError when the connection is lost before."""
    global skip, rest, ended
    hello = json.dumps({"relay": 1, "type": "publish", "name": name, "heartbeat": HEARTBEAT})
    relay.sendall(frame(hello.encode(), CONTROL))
    hear(stream)
    relay.sendall(b"".join(waiting))
    while waiting or not ended:
        if ended or len(waiting) >= MOST or 0 not in select([relay, 0], [], [], HEARTBEAT)[0]:
            hear(stream)
            continue
        data = os.read(0, 65536)
        ended = not data
        *lines, rest = (rest + (data or b"\n" * bool(rest))).split(b"\n")
        new = [frame(line) for line in lines[skip:]]
        skip = max(0, skip - len(lines))
        waiting.extend(new)
        relay.sendall(b"".join(new))


signal.signal(signal.SIGINT, signal.SIG_DFL)
name, host, port = sys.argv[1:] if len(sys.argv) > 2 else (*sys.argv[1:], "127.0.0.1", "8001")
while waiting or not ended:
    try:
        with socket.create_connection((host, int(port)), 3 * HEARTBEAT) as relay, relay.makefile("rb") as stream:
            publish(relay, stream)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"relay at {host}:{port}: {error}", file=sys.stderr)
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(30, 2 * pause)
