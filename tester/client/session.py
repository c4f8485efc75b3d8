"""A subscriber in the framing `int32`: with a session, or a silent one where the server has none."""

from __future__ import annotations

from typing import Any

from relay.client.errors import ClientError, NoSessions
from relay.client.twisted import Gap, Message, Run, RunSubscription, Subscription
from relay.wire.counted import HEADER
from relay.wire.framing import Frames
from relay.wire.position import Position
from tester.client.options import Options
from tester.client.printer import Printer
from tester.connection import Say, SpokenEndpoint, in_options, same_pace


async def receive(options: Options, endpoint: SpokenEndpoint, printer: Printer, say: Say) -> None:
    """Print what comes until there is enough. Ends the program if no connection can help.

    A server that does not answer the hello is subscribed to in silence, unless an option needs a session.
    """
    try:
        try:
            await _receive(options, endpoint, printer, say, session=options.session is not False)
        except NoSessions as error:
            if options.session:
                raise
            say(f"{in_options(error, '--no-session')}: going on without; what comes between two connections is missing")
            await _receive(options, endpoint, printer, say, session=False)
    except (ClientError, ValueError) as error:
        reason = in_options(error, "--no-session") if isinstance(error, ClientError) else str(error)
        raise SystemExit(f"{endpoint.address}: {reason}") from None


async def _receive(options: Options, endpoint: SpokenEndpoint, printer: Printer, say: Say, session: bool) -> None:
    last: Position | None = None  # of what was printed, where the service ends before it can tell

    def received(event: Message | Run | Gap) -> None:
        nonlocal last
        if isinstance(event, Gap):
            say(describe(event))
            return
        printer.run(event.frames if isinstance(event, Run) else framed(event))
        if printer.done:
            last = event.position if isinstance(event, Message) else None
            service.stopService()

    # One by one, where the last message that is printed need not be the last of a run: then its position is exact.
    kind: Any = RunSubscription if options.count is None else Subscription  # Any: the events of each are in `received`
    service: RunSubscription | Subscription = kind(
        endpoint,
        received,
        session=session,
        after=options.after if session else None,
        replay=options.replay if session else None,
        since=options.since if session else None,
        store=options.store if session else None,
        name=options.name,
        max_message=options.max_message,
        retry=same_pace(),
    )
    service.retrying = endpoint.lost
    service.startService()
    try:
        await service.whenClosed()
    finally:
        await service.stopService()
        if (position := last or service.position) is not None:
            say(f"the last position is {position}: --after goes on behind it")


def framed(message: Message) -> Frames:
    """The message as it was on the wire."""
    data = HEADER.pack(len(message.data)) + message.data
    return Frames(data, 1, len(data))


def describe(gap: Gap) -> str:
    """A gap, as a line for people."""
    if gap.ahead:
        return f"{gap.ahead:,} messages before {gap.position} were given that the relay's disk never got: they are void"
    if gap.repeats:
        return f"messages from {gap.position} on come again, perhaps: the relay had counted otherwise"
    if gap.lost is None:
        return f"nobody knows how many messages are missing before {gap.position}: the relay was started anew"
    return f"messages are missing before {gap.position}: {gap.lost:,}"
