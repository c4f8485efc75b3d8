"""`python -m tester.client`: subscribe to a relay."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from relay.wire.framings import find_framing
from tester.client.options import Options, parse
from tester.client.printer import Printer
from tester.client.session import receive
from tester.client.subscriber import Subscriber
from tester.connection import SpokenEndpoint, keep_connected, spoken_endpoint
from tester.program import GiveUp, run, say
from tester.tally import Tally

QUIET = 10.0
"""Seconds without any message after which a person may wonder whether this is the right port."""
DOUBT = (
    f"no message in {QUIET:g} s: nobody publishes, or this is no port for subscribers, or the relay's --framing is not"
)


async def subscribe(options: Options, reactor: Any, give_up: GiveUp) -> None:
    """Print messages until there are as many as wanted, or the user ends the program."""
    tally = Tally(time.monotonic)
    printer = Printer(sys.stdout.buffer, find_framing(options.framing), options.raw, tally, options.count)
    endpoint = spoken_endpoint(reactor, options.connect, options.credentials, say, give_up)
    try:
        if options.framing == "int32":
            await receive(options, endpoint, printer, say)
        else:
            await listen(options, endpoint, printer, reactor)
    finally:
        say(f"received {tally.summary()}")


async def listen(options: Options, endpoint: SpokenEndpoint, printer: Printer, reactor: Any) -> None:
    """Print what comes in a framing that has no sessions."""
    framing = find_framing(options.framing)
    ended: Deferred[None] = Deferred()
    service = keep_connected(reactor, endpoint, lambda: Subscriber(framing(options.max_message), printer, ended, say))
    service.startService()

    def wonder() -> None:
        if not printer.began:
            say(f"{DOUBT} {options.framing}")

    wondering = reactor.callLater(QUIET, wonder)
    try:
        await ended
    finally:
        if wondering.active():
            wondering.cancel()
        await service.stopService()


def main() -> None:
    """Run the program."""
    run(partial(subscribe, parse()))


if __name__ == "__main__":
    main()
