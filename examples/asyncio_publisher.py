"""Publish each line of standard input as a message: python3 asyncio_publisher.py [HOST PORT]"""

import asyncio
import signal
import sys


async def publish(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        message = line.removesuffix(b"\n")
        writer.write(len(message).to_bytes(4, "big") + message)
        await writer.drain()  # waits while the relay takes no more
    writer.write_eof()
    await reader.read()  # returns once the relay has read everything, and raises if it dropped us
    writer.close()


signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends this at once and without a traceback
host, port = sys.argv[1:] or ("127.0.0.1", "8001")
try:
    asyncio.run(publish(host, int(port)))
except OSError as error:
    sys.exit(f"relay at {host}:{port}: {error}")
