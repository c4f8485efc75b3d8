"""The command `relay journal`: what is in a journal, whether it is whole, its messages; and mends one that is damaged.

It reads beside a running relay, and copies. Only `--repair` writes, and only where no relay does.
"""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice, pairwise
from typing import NoReturn

from relay.journal.disk import Disk
from relay.journal.inspection import Listed, Message, Unreadable, epochs, look, messages
from relay.journal.recovery import CannotOpen
from relay.journal.repair import Repair
from relay.journal.segment import Damaged, Segment
from relay.wire.framings import FRAMINGS, find_framing
from relay.wire.position import Epoch, Position
from relay.wire.printable import escaped

MICROSECONDS = 1_000_000
WHOLE = "the journal is whole"


def main() -> None:
    """Do what the command line says. Ends with status 1 if the journal is damaged or cannot be read."""
    parser = _parser()
    options = parser.parse_args()
    try:
        options.framings = FRAMINGS | ({options.framing: find_framing(options.framing)} if options.framing else {})
    except ValueError as error:
        parser.error(f"argument --framing: {error}")
    if options.print is None and (options.count, options.framing) != (None, None):
        parser.error(f"--{'framing' if options.count is None else 'count'} is for --print")
    try:
        faults = _run(options, Disk())
    except BrokenPipeError:
        raise  # `relay` knows that the reader of its output has enough
    except (CannotOpen, Damaged, Unreadable, OSError) as error:
        words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else error
        print(f"relay journal: {words}", file=sys.stderr)
        faults = 1
    sys.exit(1 if faults else 0)


class Parser(ArgumentParser):
    """For a wrong option, ends the program with status 2 and one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


def _parser() -> ArgumentParser:
    parser = Parser(
        description="Show what is in a journal: its segments, where they begin and end, its framing and its epochs.",
        epilog="A journal can be looked at while a relay writes it, and so can a copy.",
    )
    parser.add_argument("folder", metavar="DIR", help="the journal's folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--verify", action="store_true", help="read every byte, and check it")
    what.add_argument(
        "--print",
        metavar="FROM",
        type=_start,
        help="print messages, a line each: number, time, and bytes as Python writes them. FROM is a number, a position "
        "such as 5289cfdd2847-17, or a time such as 2026-11-25T12:00:00Z",
    )
    what.add_argument(
        "--repair",
        action="store_true",
        help="make a damaged journal whole: cut the newest segment where it is damaged; of older ones, delete the one "
        "that is damaged and all before it. Says what goes. Copy the folder first",
    )
    parser.add_argument("--count", type=_count, metavar="N", help="print N messages at most")
    parser.add_argument(
        "--framing",
        metavar="CLASS",
        help="with --print: the class that tells messages apart, as package.module:Class, for a framing of your own",
    )
    return parser


def _start(text: str) -> int | datetime:
    """A position's number, or a time, as FROM says."""
    if text.isdecimal():
        return int(text)
    with suppress(ValueError):
        return Position.parse(text).number
    with suppress(ValueError, OverflowError):  # the first and the last days have no time in other zones
        when = datetime.fromisoformat(text)
        return when if when.tzinfo else when.astimezone()
    raise ArgumentTypeError(f"neither a number, nor a position, nor a time: {text!r}")


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"not a number of messages: {text!r}")
    return int(text)


def _run(options: Namespace, disk: Disk) -> int:
    """Do what `options` say. Returns how many faults were found that are still there."""
    if options.repair:
        return _repair(disk, options.folder)
    if options.print is not None:
        _print(islice(_wanted(disk, options), options.count), options.print)
        return 0
    faults = 0
    newest: Segment | None = None
    for listed in look(disk, options.folder, whole=options.verify):
        newest = listed.segment or newest
        print(_line(listed))
        for fault in (listed.gap, listed.fault):
            if fault is not None:
                faults += 1
                print(f"  {fault}")
    if newest is not None:
        print(_whole(disk, newest))
    if options.verify and not faults:
        print(WHOLE)
    return faults


def _print(found: Iterator[Message], start: int | datetime) -> None:
    """Print messages, a line each. On standard error, say so if those from `start` on are not all there any more."""
    for number, one in enumerate(found):
        if not number and isinstance(start, int) and 0 < start < one.position:
            print(f"relay journal: message {start:,} is gone: the oldest is {one.position:,}", file=sys.stderr)
        print(f"{one.position}\t{show_time(one.time)}\t{repr(one.data)[2:-1]}")


def _line(listed: Listed) -> str:
    """A segment, for people."""
    segment = listed.segment
    if segment is None:
        return f"{listed.path}  {'cannot be read' if listed.fault else 'is made ready, and empty'}"
    index = segment.index
    begun = index[0].time if len(index) else segment.header.created
    span = f"{show_time(begun)} to {show_time(segment.latest)}"
    return f"{listed.path}  {_numbers(segment.first, segment.next)}  {segment.size:,} bytes  {span}"


def _whole(disk: Disk, newest: Segment) -> str:
    """What holds for a journal with the segment `newest` as a whole, for people, in some lines."""
    header = newest.header
    lines = [f"framing {escaped(header.framing)}, messages of at most {header.max_message:,} bytes"]
    for epoch, behind in pairwise([*epochs(disk, newest), Epoch("", newest.next)]):
        lines.append(f"epoch {epoch.name}  {_numbers(epoch.first, behind.first)}")
    return "\n".join(lines)


def _numbers(first: int, following: int) -> str:
    """The messages from `first` to the one before `following`, for people."""
    return f"messages {first:,} to {following - 1:,}" if following > first else "no messages"


def show_time(microseconds: int) -> str:
    """A time as RFC 3339 has it, in UTC."""
    when = datetime.fromtimestamp(microseconds // MICROSECONDS, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{microseconds % MICROSECONDS:06}Z"


def _wanted(disk: Disk, options: Namespace) -> Iterator[Message]:
    """All messages from a position or a time on, as `options` say."""
    read = partial(messages, disk, options.folder, framings=options.framings)
    if isinstance(options.print, int):
        number = options.print
        return (one for one in read(lambda segment: segment.next > number) if one.position >= number)
    since = int(options.print.timestamp() * MICROSECONDS)
    return (one for one in read(lambda segment: segment.latest >= since) if one.time >= since)


def _repair(disk: Disk, folder: str) -> int:
    repair = Repair(disk, folder)
    try:
        for line in repair.plan:
            print(line)
        if not repair.plan:
            print(WHOLE)
        repair.run(time.time_ns() // 1000)
    finally:
        repair.close()
    return 0


if __name__ == "__main__":
    main()
