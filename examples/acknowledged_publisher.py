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
    before, accepted = accepted, said.get("accepted", accepted)
    if before <= accepted <= before + len(waiting) and said.get("known", True):
        del waiting[: accepted - before]
    elif waiting:
        print(f"relay at {host}:{port}: it has forgotten us: messages may come twice", file=sys.stderr)


def publish(relay):
    """Publish until all is acknowledged. Raises OSError when the connection ends before."""
    global skip, rest, ended
    hello = {"relay": 1, "type": "publish", "name": name, "heartbeat": HEARTBEAT}
    relay.sendall(frame(json.dumps(hello).encode(), CONTROL))
    came, welcomed = b"", False
    while not (welcomed and ended and not waiting):
        more = welcomed and not ended and len(waiting) < MOST
        readable, _, _ = select([relay, 0] if more else [relay], [], [], 3 * HEARTBEAT)
        if not readable:
            raise OSError("it is silent" if welcomed else "it says nothing: perhaps it knows no sessions")
        unsent = []
        if relay in readable:
            if not (data := relay.recv(65536)):
                raise OSError("it closed the connection")
            came += data
            while len(came) >= 4 and len(came) >= (end := 4 + (int.from_bytes(came[:4], "big") & ~CONTROL)):
                hear(json.loads(came[4:end]))
                came, unsent, welcomed = came[end:], unsent if welcomed else waiting[:], True
        if 0 in readable:
            data = os.read(0, 65536)
            ended = not data
            *lines, rest = (rest + (data or b"\n" * bool(rest))).split(b"\n")
            new = [frame(line) for line in lines[skip:]]
            skip = max(0, skip - len(lines))
            waiting.extend(new)
            unsent += new
        for each in unsent:
            relay.sendall(each)


signal.signal(signal.SIGINT, signal.SIG_DFL)
name, host, port = sys.argv[1:] if len(sys.argv) > 2 else (*sys.argv[1:], "127.0.0.1", "8001")
while True:
    try:
        with socket.create_connection((host, int(port)), 3 * HEARTBEAT) as relay:
            publish(relay)
        break
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"relay at {host}:{port}: {error}", file=sys.stderr)
    time.sleep(pause * random.uniform(0.5, 1))
    pause = min(30, 2 * pause)
