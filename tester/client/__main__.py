"""`python -m tester.client`: subscribe to a relay."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from tester.client.options import Options, parse
from tester.client.printer import Printer, as_it_is, as_line
from tester.client.subscriber import SUBSCRIBERS
from tester.connection import connect
from tester.program import GiveUp, run, say
from tester.tally import Tally


async def subscribe(options: Options, reactor: Any, give_up: GiveUp) -> None:
    """Print messages until there are as many as wanted, or the user ends the program."""
    tally = Tally(time.monotonic)
    render = as_it_is(b"\n" if options.framing == "line" else b"") if options.raw else as_line
    printer = Printer(sys.stdout.buffer, render, tally, options.count)
    ended: Deferred[None] = Deferred()

    service = connect(
        reactor,
        options.connect,
        options.credentials,
        lambda: SUBSCRIBERS[options.framing](printer, ended, options.max_message, say),
        say,
        give_up,
    )
    service.startService()
    try:
        await ended
    finally:
        await service.stopService()
        say(f"received {tally.summary()}")


def main() -> None:
    """Run the program."""
    run(partial(subscribe, parse()))


if __name__ == "__main__":
    main()
