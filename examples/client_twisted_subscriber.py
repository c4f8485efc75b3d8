"""Write each message to standard output as a line, once: python3 client_twisted_subscriber.py [HOST PORT]"""

import sys

from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import react

from relay.client.errors import ClientError
from relay.client.twisted import Gap, Message, Subscription


def received(message: Message | Gap) -> None:
    if isinstance(message, Gap):
        lost = "unknown" if message.lost is None else message.lost
        print(f"before {message.position}, messages are lost: {lost}", file=sys.stderr)
    else:
        sys.stdout.buffer.write(message.data + b"\n")
        sys.stdout.buffer.flush()


async def subscribe(reactor, host: str = "127.0.0.1", port: str = "8002") -> None:
    relay = Subscription(HostnameEndpoint(reactor, host, int(port)), received)
    relay.startService()
    try:
        await relay.whenClosed()
    except (ClientError, BrokenPipeError) as error:
        sys.exit(f"relay at {host}:{port}: {error}")


react(subscribe, sys.argv[1:])
