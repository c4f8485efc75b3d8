"""How the publisher and the client start, tell a person something, and end."""

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
    """Show a person one line that is not part of the program's output."""
    print(text, file=sys.stderr, flush=True)


def run(program: Program) -> NoReturn:
    """Run `program(reactor, give_up)` to its end, and exit.

    SIGINT and SIGTERM raise `CancelledError` where the program waits; it may then take its time to end. So does
    `give_up(line)`, after which the exit status is 1 and `line` is shown. An `OSError` that the program raises becomes
    one line and status 1, except that it is no error if the reader of its output has left (`| head`).
    """

    async def main(reactor: IReactorCore) -> None:
        ended: Deferred[None] = Deferred()
        why: list[str] = []

        def give_up(line: str) -> None:
            why.append(line)
            cast(IReactorTime, reactor).callLater(0, running.cancel)  # not now, within the call that has just failed

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
    # Python flushes standard output again when it exits, and would report the same error again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
