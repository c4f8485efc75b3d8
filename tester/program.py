"""What the two programs have in common with each other and with no relay: how they start, speak and end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import react

GiveUp = Callable[[str], None]  # ends the program with status 1, and says why
Program = Callable[[Any, GiveUp], Coroutine[Deferred[Any], Any, None]]  # Any: a reactor, with whatever interfaces


def say(text: str) -> None:
    """Tell the person in front of the program something that is not its output."""
    print(text, file=sys.stderr, flush=True)


def run(program: Program) -> NoReturn:
    """Run `program(reactor, give_up)` to its end, and exit.

    SIGINT and SIGTERM raise `CancelledError` in the program at what it waits for; it may then take its time.
    So does `give_up`, whose line ends it with status 1.
    An `OSError` that it raises becomes one line and status 1, except that a reader that left (`| head`)
    is no error at all.
    """

    async def main(reactor: IReactorCore) -> None:
        ended: Deferred[None] = Deferred()
        why: list[str] = []

        def give_up(line: str) -> None:
            why.append(line)
            cast(IReactorTime, reactor).callLater(0, running.cancel)  # not in the middle of what has just failed

        running = Deferred.fromCoroutine(program(reactor, give_up))

        def interrupt() -> Deferred[None]:
            running.cancel()
            return ended

        reactor.addSystemEventTrigger("before", "shutdown", interrupt)
        try:
            await running
        except (CancelledError, SystemExit) as end:
            if why:
                raise SystemExit(why[0]) from None
            if isinstance(end, SystemExit):
                raise
        except BrokenPipeError:
            _discard_output()
        except OSError as error:
            _discard_output()
            raise SystemExit(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
        finally:
            ended.callback(None)

    react(main)


def _discard_output() -> None:
    # Python flushes standard output once more when it exits, and would complain of the same error again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
