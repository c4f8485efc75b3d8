"""Write each message to standard output as a line, and go on there after an interruption.

python3 resuming_subscriber.py [HOST PORT]
"""

import json
import random
import signal
import socket
import sys
import time

CONTROL = 0x8000_0000  # this bit of a header says that what follows is a control frame, and no message
HEARTBEAT = 2  # seconds; the connection is dead if nothing at all comes for three of them
last = sure = ("", 0)  # epoch and number of the last message; of the last that the relay has confirmed
pause = 0.1  # seconds until the next attempt


def frames(stream):
    """Yield messages as bytes, control frames as dicts. What is cut off is dropped: it comes again."""
    while len(header := stream.read(4)) == 4:
        length = int.from_bytes(header, "big")
        size = length & ~CONTROL
        if size > 2**24:  # more than we are prepared to hold
            raise ValueError("it sends something else than frames")
        body = stream.read(size)
        if len(body) == size:
            yield json.loads(body) if length & CONTROL else body


def subscribe(relay, stream):
    """Write what comes until the connection ends."""
    global last, sure, pause, retry
    hello = {"relay": 1, "type": "subscribe", "heartbeat": HEARTBEAT}
    body = json.dumps(hello | ({"after": "{}-{}".format(*last)} if last[0] else {})).encode()
    relay.sendall((CONTROL + len(body)).to_bytes(4, "big") + body)
    limit, welcomed = time.monotonic() + 5, False
    for frame in frames(stream):
        kind = "message" if isinstance(frame, bytes) else frame["type"]
        if kind == "message" and welcomed:
            sys.stdout.buffer.write(frame + b"\n")
            sys.stdout.buffer.flush()
            last = last[0], last[1] + 1
        elif kind == "message" and time.monotonic() > limit:  # before that, it is dropped
            raise OSError("it answers with messages only: perhaps it knows no sessions")
        elif kind == "error":
            sys.exit(f"relay at {host}:{port}: {frame['message']}")
        elif kind in ("welcome", "heartbeat", "gap", "bye"):
            epoch, _, following = frame["next"].partition("-")
            if kind == "welcome" or (kind == "gap" and last == (epoch, int(following) - 1 - frame["lost"])):
                last, welcomed, pause = (epoch, int(following) - 1), True, 0.1
            if last != (epoch, int(following) - 1):
                last = sure  # so that nothing is lost; some messages may come twice
                raise OSError(f"it is at {frame['next']}, and we are not")
            sure = last
            if frame.get("lost", 0) != 0:
                print(f"before {frame['next']}, messages are lost: {frame['lost'] or 'unknown'}", file=sys.stderr)
            if kind == "bye":
                retry = frame.get("retry")


for ending in (signal.SIGINT, signal.SIGPIPE):  # Ctrl-C, or a reader that has enough, ends this quietly
    signal.signal(ending, signal.SIG_DFL)
host, port = sys.argv[1:] or ("127.0.0.1", "8002")
while True:
    retry = None  # seconds to wait, if the relay says so
    try:
        with socket.create_connection((host, int(port)), 3 * HEARTBEAT) as relay, relay.makefile("rb") as stream:
            subscribe(relay, stream)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"relay at {host}:{port}: {error}", file=sys.stderr)
    time.sleep(retry or pause * random.uniform(0.5, 1))
    pause = min(30, 2 * pause)
