"""Publish each line of standard input as a message, once: python3 client_asyncio_publisher.py NAME [HOST PORT]"""

import asyncio
import sys

from relay.client.asyncio import publication
from relay.client.errors import ClientError


async def publish(name: str, host: str, port: int) -> None:
    async with publication(host, port, name=name) as relay:
        for line in sys.stdin.buffer.readlines()[relay.accepted :]:  # behind those that were published before
            await relay.send(line.removesuffix(b"\n"))  # waits while there is no room; `publish` waits for the ack


name, host, port = sys.argv[1:] if len(sys.argv) > 2 else (*sys.argv[1:], "127.0.0.1", "8001")
try:
    asyncio.run(publish(name, host, int(port)))  # ends when everything is acknowledged
except ClientError as error:
    sys.exit(f"relay at {host}:{port}: {error}")
except KeyboardInterrupt:
    sys.exit(1)
