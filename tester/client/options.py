"""The command line of `python -m tester.client`."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from relay.wire.position import Position
from tester.options import (
    ConnectionOptions,
    Parser,
    add_connection_options,
    called,
    check_name,
    check_tls,
    seconds,
    whole,
)

NEED_SESSION = ("after", "replay", "since", "store", "name")


class Options(ConnectionOptions):
    """The options of the client."""

    count: int | None
    raw: bool
    session: bool | None
    """None: if the server has sessions."""
    after: Position | None
    replay: int | None
    since: float | datetime | None
    store: Path | None
    name: str


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.client"),
        description="Subscribe, and print a line for every message: the time, a number that counts from the start, the"
        " length in bytes, a checksum and the first characters, escaped. Waits for a relay that is not there yet, and"
        " connects again to one that restarts. With a session nothing is lost in between, or it says what. Ctrl-C ends"
        " it.",
    )
    add_connection_options(parser, port=8002)
    parser.add_argument("--count", metavar="N", type=whole(minimum=1), help="end after N messages (default: never)")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print only the bytes of the messages; with --framing line, cr or nul, what ends it follows each",
    )
    _add_session_options(parser)
    options = parser.parse_args(arguments, Options())
    check_tls(parser, options)
    _check_session(parser, options)
    return options


def _add_session_options(parser: Parser) -> None:
    group = parser.add_argument_group("sessions", "They need --framing int32.")
    group.add_argument(
        "--session",
        action=BooleanOptionalAction,
        default=None,
        help="go on behind the last message when a connection was lost (default: if the server can)",
    )
    start = group.add_mutually_exclusive_group()
    start.add_argument("--after", metavar="POSITION", type=position, help="begin behind a position: EPOCH-NUMBER")
    start.add_argument(
        "--replay", metavar="N", type=whole(minimum=0), help="begin with the last N messages, if there are so many"
    )
    start.add_argument(
        "--since",
        metavar="TIME",
        type=moment,
        help="begin with the first message that was published since: seconds of age, or a time as in RFC 3339",
    )
    group.add_argument(
        "--store",
        metavar="FILE",
        type=Path,
        help="keep the position of the last message printed in FILE, and begin behind the one that is in it",
    )
    group.add_argument(
        "--name", metavar="NAME", default="", help="what the relay's log and status page call this client"
    )


def _check_session(parser: Parser, options: Options) -> None:
    """End the program if there can be no session, and one is needed. `session` becomes True if one is."""
    check_name(parser, options.name)
    given = [f"--{name}" for name in NEED_SESSION if getattr(options, name) not in (None, "")]
    if options.session is not False and options.framing == "int32":
        options.session = options.session or bool(given) or None
        return
    if options.session:
        given.insert(0, "--session")
    if given:
        way_out = "--no-session" if options.framing == "int32" else f"--framing {options.framing}"
        parser.error(f"{given[0]} needs a session, which there is none with {way_out}")
    options.session = False


def position(text: str) -> Position:
    """A conversion for argparse: a position in its text form."""
    try:
        return Position.parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def moment(text: str) -> float | datetime:
    """A conversion for argparse: seconds of age, or a time with its zone."""
    try:
        return seconds(text)
    except ArgumentTypeError:
        pass
    try:
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ArgumentTypeError(f"neither seconds nor a time with its zone, such as 2026-11-25T08:30:00Z: {text!r}")
    return time
