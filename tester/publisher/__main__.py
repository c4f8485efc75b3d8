"""`python -m tester.publisher`: publish to a relay."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from tester.connection import connect
from tester.program import GiveUp, run, say
from tester.publisher.messages import limited, lines, open_file, paced, random_texts, read
from tester.publisher.options import Options, parse
from tester.publisher.publisher import PUBLISHERS, Outlet
from tester.publisher.report import Report

PATIENCE = 1.0  # seconds: longer than a relay needs to answer our end, unless it is blocked or is no relay


def choose(options: Options, reactor: Any) -> AsyncIterator[bytes]:
    """The messages that `options` ask for, at the pace that they ask for."""
    if options.file is None:
        messages = random_texts(options.size)
    else:
        descriptor = 0 if options.file == "-" else open_file(options.file)
        ending = b"\n" if options.framing == "raw" else b""
        messages = lines(read(descriptor, reactor), options.max_message, ending)
    if options.count is not None:
        messages = limited(messages, options.count)
    return paced(messages, options.interval, reactor) if options.interval else messages


async def publish(options: Options, reactor: Any, give_up: GiveUp) -> None:
    """Publish until the messages end, or the user ends the program.

    The exit status is 1 if the relay may not have read all of them.
    """
    messages = choose(options, reactor)
    outlet = Outlet()
    report = Report(partial(print, flush=True), time.monotonic)
    build = partial(PUBLISHERS[options.framing], outlet, say)
    service = connect(reactor, options.connect, options.credentials, build, say, give_up)
    service.startService()
    try:
        async for message in messages:
            (await outlet.ready()).send(message)
            report.sent(message)
        reactor.callLater(PATIENCE, say, "all is sent; waiting until the relay has read it")
        await outlet.finish()
    except BaseException:  # Ctrl-C, or an error that nobody handles
        reactor.callLater(PATIENCE, outlet.abort, "the relay does not read: what is queued is dropped")
        await outlet.finish()
        raise
    finally:
        await service.stopService()
        say(report.summary())
    if not outlet.lossless:
        raise SystemExit("a connection broke: the relay may not have read everything")


def main() -> None:
    """Run the program."""
    run(partial(publish, parse()))


if __name__ == "__main__":
    main()
