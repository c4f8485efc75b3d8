"""Write each message to standard output as a line: python3 asyncio_subscriber.py [HOST PORT]"""

import asyncio
import signal
import sys


async def subscribe(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while start := await reader.read(1):  # nothing: the connection ended, and between two messages
        header = start + await reader.readexactly(3)
        message = await reader.readexactly(int.from_bytes(header, "big"))
        sys.stdout.buffer.write(message + b"\n")
        sys.stdout.buffer.flush()
    writer.close()


signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this at once and without a traceback,
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # and so does a reader that has enough, as in `| head`
host, port = sys.argv[1:] or ("127.0.0.1", "8002")
try:
    asyncio.run(subscribe(host, int(port)))
    print("the relay closed the connection", file=sys.stderr)
except asyncio.IncompleteReadError:
    sys.exit(f"relay at {host}:{port}: the connection ended within a message")
except OSError as error:
    sys.exit(f"relay at {host}:{port}: {error}")
