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
from collections import deque
from select import select

CONTROL = 0x8000_0000  # this bit of a header says that what follows is a control frame, and no message
HEARTBEAT = 2  # seconds; the connection is dead if nothing at all comes for three of them
MOST = 1000  # messages that may wait to be acknowledged before more input is read
waiting = deque()  # frames that are not acknowledged
accepted = skip = None  # messages of NAME that are; how many were before we began
rest, ended = b"", False  # of the input: a line that is not whole; whether that was all
pause = 0.1  # seconds until the next attempt


def frame(data, kind=0):
    return (kind + len(data)).to_bytes(4, "big") + data


def hear(said):
    """Take down what the relay says: all messages up to a number are accepted."""
    global accepted, skip, pause
    if said["type"] == "error" or said.get("reason") == "replaced":
        sys.exit(f"relay at {host}:{port}: {said.get('message', 'another publisher has this name now')}")
    pause = 0.1 if said["type"] == "welcome" else said.get("retry", pause)
    if accepted is None:  # the first welcome
        accepted = skip = said["accepted"]
    done = said.get("accepted", accepted) - accepted
    if not (0 <= done <= len(waiting) and said.get("known", True)):
        done = 0
        if waiting:
            print(f"relay at {host}:{port}: it has forgotten us: messages may come twice", file=sys.stderr)
    for _ in range(done):
        waiting.popleft()
    accepted = said.get("accepted", accepted)


def publish(relay):
    """Publish until all is acknowledged. Raises OSError when the connection ends before."""
    global skip, rest, ended
    out = frame(json.dumps({"relay": 1, "type": "publish", "name": name, "heartbeat": HEARTBEAT}).encode(), CONTROL)
    came, welcomed, heard = b"", False, time.monotonic()
    while not (welcomed and ended and not waiting):
        readers = [relay, 0] if welcomed and not ended and len(waiting) < MOST else [relay]
        readable, writable, _ = select(readers, [relay] if out else [], [], HEARTBEAT)
        if writable:
            out = out[relay.send(out) :]
        if relay in readable:
            data = relay.recv(65536)
            if not data:
                raise OSError("it closed the connection")
            came, heard = came + data, time.monotonic()
            while len(came) >= 4 and len(came) >= (end := 4 + (int.from_bytes(came[:4], "big") & ~CONTROL)):
                hear(json.loads(came[4:end]))
                came = came[end:]
                if not welcomed:
                    welcomed, out = True, b"".join(waiting)
        elif time.monotonic() - heard > 3 * HEARTBEAT:
            raise OSError("it says nothing any more: perhaps it knows no sessions" if not welcomed else "it is silent")
        if 0 in readable:
            data = os.read(0, 65536)
            *lines, rest = (rest + data).split(b"\n")
            ended = not data
            lines += [rest] if ended and rest else []
            frames = [frame(line) for line in lines[skip:]]
            skip = max(0, skip - len(lines))
            waiting.extend(frames)
            out += b"".join(frames)


for ending in (signal.SIGINT, signal.SIGPIPE):
    signal.signal(ending, signal.SIG_DFL)
name, host, port = sys.argv[1:] if len(sys.argv) > 2 else (*sys.argv[1:], "127.0.0.1", "8001")
while True:
    try:
        with socket.create_connection((host, int(port)), 3 * HEARTBEAT) as relay:
            relay.setblocking(False)
            publish(relay)
        break
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"relay at {host}:{port}: {error}", file=sys.stderr)
    time.sleep(pause * random.uniform(0.5, 1))
    pause = min(30, 2 * pause)
