"""Write each message to standard output as a line, once: python3 client_asyncio_subscriber.py [HOST PORT]"""

import asyncio
import signal
import sys

from relay.client.asyncio import Gap, subscription
from relay.client.errors import ClientError


async def subscribe(host: str, port: int) -> None:
    async for message in subscription(host, port):  # store="position" would make it restartable, too
        if isinstance(message, Gap):
            lost = "unknown" if message.lost is None else message.lost
            print(f"before {message.position}, messages are lost: {lost}", file=sys.stderr)
        else:
            sys.stdout.buffer.write(message.data + b"\n")
            sys.stdout.buffer.flush()


for ending in (signal.SIGINT, signal.SIGPIPE):  # Ctrl-C, or a reader that has enough, ends this quietly
    signal.signal(ending, signal.SIG_DFL)
host, port = sys.argv[1:] or ("127.0.0.1", "8002")
try:
    asyncio.run(subscribe(host, int(port)))
except ClientError as error:
    sys.exit(f"relay at {host}:{port}: {error}")
