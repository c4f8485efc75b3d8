"""Write each message to standard output as a line: python3 python_subscriber.py [HOST PORT]"""

import signal
import socket
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this at once and without a traceback,
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # and so does a reader that has enough, as in `| head`
host, port = sys.argv[1:] or ("127.0.0.1", "8002")

try:
    with socket.create_connection((host, int(port))) as relay, relay.makefile("rb") as stream:
        while header := stream.read(4):
            length = int.from_bytes(header, "big")
            message = stream.read(length)
            if len(header) < 4 or len(message) < length:
                raise OSError("the connection ended within a message")
            sys.stdout.buffer.write(message + b"\n")
            sys.stdout.buffer.flush()
    print("the relay closed the connection", file=sys.stderr)
except OSError as error:
    sys.exit(f"relay at {host}:{port}: {error}")
