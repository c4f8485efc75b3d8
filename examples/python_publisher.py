"""Publish each line of standard input as a message: python3 python_publisher.py [HOST PORT]"""

import signal
import socket
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this at once and without a traceback
host, port = sys.argv[1:] or ("127.0.0.1", "8001")

try:
    with socket.create_connection((host, int(port))) as relay:
        for line in sys.stdin.buffer:
            message = line.removesuffix(b"\n")
            relay.sendall(len(message).to_bytes(4, "big") + message)
        relay.shutdown(socket.SHUT_WR)
        relay.recv(1)  # returns once the relay has read everything, and raises if it dropped us
except OSError as error:
    sys.exit(f"relay at {host}:{port}: {error}")
