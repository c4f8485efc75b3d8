"""`python -m tester.publisher`: publish to a relay."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError

from relay.client.errors import ClientError
from relay.wire.framings import find_framing
from tester.connection import in_options, keep_connected, spoken_endpoint
from tester.program import GiveUp, run, say
from tester.publisher.messages import behind, is_regular, limited, lines, open_file, paced, random_texts, read
from tester.publisher.options import Options, parse
from tester.publisher.publisher import Outlet, Publisher
from tester.publisher.report import Report
from tester.publisher.session import SILENT, SessionOutlet

if TYPE_CHECKING:
    from tester.publisher.recording import Recording

Source = Callable[[int], AsyncIterator[bytes]]  # gives all messages but the first few
PATIENCE = 1.0  # seconds: longer than a relay needs to answer our end, unless it is blocked or is no relay
WAITING = "all is sent; waiting until the relay has read it (which never ends if it is no port for publishers)"


def choose(options: Options, reactor: Any) -> tuple[Source, bool]:
    """What gives the messages that `options` ask for, at their pace, and whether they are the same ones each time."""
    if options.recording is not None:
        return recorded(options.recording, options, reactor), True
    repeatable = False
    if options.file is None:
        messages = random_texts(options.size)
    else:
        descriptor = 0 if options.file == "-" else open_file(options.file)
        repeatable = is_regular(descriptor)
        ending = b"\n" if options.framing == "raw" else b""
        messages = lines(read(descriptor, reactor), options.max_message, ending)
    if options.count is not None:
        messages = limited(messages, options.count)

    def source(before: int) -> AsyncIterator[bytes]:
        rest = behind(messages, before) if before else messages
        return paced(rest, options.interval, reactor) if options.interval else rest

    return source, repeatable


def recorded(recording: Recording, options: Options, reactor: Any) -> Source:
    """What plays a recording. Says what it is."""
    from tester.publisher.recording import played

    say(f"playing {recording.summary}")
    if recording.framing != options.framing:
        say(f"the journal has the framing {recording.framing}: its messages are framed anew, with {options.framing}")
    return lambda before: played(recording.messages(before, options.count), options.speed, reactor, say)


def open_outlet(options: Options, reactor: Any, give_up: GiveUp) -> Outlet | SessionOutlet:
    """What to send the messages through. It connects by itself."""
    endpoint = spoken_endpoint(reactor, options.connect, options.credentials, say, give_up)
    if options.framing == "int32":
        return SessionOutlet(reactor, endpoint, options.acks, options.name, options.max_message, say, give_up)
    outlet = Outlet()
    service = keep_connected(reactor, endpoint, lambda: Publisher(outlet, find_framing(options.framing).frame, say))
    outlet.stop = service.stopService
    service.startService()
    return outlet


async def publish(options: Options, reactor: Any, give_up: GiveUp) -> None:
    """Publish until the messages end, or the user ends the program.

    The exit status is 1 if the relay may not have read all of them.
    """
    source, repeatable = choose(options, reactor)
    outlet = open_outlet(options, reactor, give_up)
    report = Report(partial(print, flush=True), time.monotonic)
    failure: BaseException | None = None
    try:
        before = await outlet.begin()
        if not (repeatable and options.name):
            before = 0
        if before:
            say(f"{before:,} messages have this name already: going on behind so many")
        await send(source(before), outlet, report)
        reactor.callLater(PATIENCE, lambda: say(WAITING + outlet.doubts))
        await outlet.finish()
    except BaseException as error:  # Ctrl-C, or an error that nobody handles
        failure = error
        reactor.callLater(PATIENCE, outlet.abort, "the relay does not read: what is queued is dropped")
        await outlet.finish()
    if isinstance(failure, ClientError):
        failure = SystemExit(f"{options.connect}: {in_options(failure, SILENT)}")
    await outlet.stop()
    if failure is not None and not report.messages:
        raise failure  # there is nothing else to say
    doubt = conclude(options, outlet, report)
    if doubt and (failure is None or isinstance(failure, CancelledError)):
        raise SystemExit(doubt)
    if failure is not None:
        raise failure


async def send(messages: AsyncIterator[bytes], outlet: Outlet | SessionOutlet, report: Report) -> None:
    """Send messages as fast as they come and the relay takes them."""
    async for message in messages:
        if not outlet.room:
            await outlet.ready()
        outlet.send(message)
        report.sent(message)


def conclude(options: Options, outlet: Outlet | SessionOutlet, report: Report) -> str:
    """Say what was sent, if that is certain of all. If not, return what is certain, and what to do; else empty."""
    if outlet.certain == report.messages:
        say(f"sent {report.summary()}{', all acknowledged' if options.acks else ''}{outlet.doubts}")
        return ""
    done = "acknowledged" if options.acks else "certainly read"
    known = f"of {report.summary()}, the relay has {done} {outlet.certain:,}{outlet.doubts}"
    if options.acks:
        return f"{known}; with the same --name and source the rest can be sent another time"
    return (
        f"{known}: is it the port for publishers, is its --framing {options.framing}, and is no message longer than its"
        " --max-message?"
    )


def main() -> None:
    """Run the program."""
    run(partial(publish, parse()))


if __name__ == "__main__":
    main()
