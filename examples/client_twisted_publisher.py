"""Publish each line of standard input as a message, once: python3 client_twisted_publisher.py NAME [HOST PORT]"""

import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from relay.client.errors import ClientError
from relay.client.twisted import Publication


async def publish(reactor, name: str, host: str = "127.0.0.1", port: str = "8001") -> None:
    relay = Publication(HostnameEndpoint(reactor, host, int(port)), name=name)
    relay.startService()
    try:
        await relay.welcomed()
        for line in sys.stdin.buffer.readlines()[relay.accepted :]:  # behind those that were published before
            await relay.ready()  # waits while there is no room
            relay.publish(line.removesuffix(b"\n")).addErrback(lambda failure: None)  # `finish` tells of failures
        await relay.finish()  # waits until everything is acknowledged
    except ClientError as error:
        sys.exit(f"relay at {host}:{port}: {error}")


react(publish, sys.argv[1:])
