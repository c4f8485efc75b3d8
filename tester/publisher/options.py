"""The command line of `python -m tester.publisher`."""

from __future__ import annotations

from collections.abc import Sequence

from relay.wire.framings import find_framing
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

INTERVAL = 10.0  # seconds
SIZE = 1024  # bytes


class Options(ConnectionOptions):
    """The options of the publisher."""

    size: int
    file: str | None
    interval: float
    count: int | None
    acks: bool
    name: str


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.publisher"),
        description="Publish random messages, or the lines of a file. Waits for a relay that is not there yet, and"
        " connects again to one that restarts. Ends once the relay has read everything, with status 0, or with 1 if"
        " that is not sure; Ctrl-C ends it at once.",
    )
    add_connection_options(parser, port=8001)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--size",
        metavar="BYTES",
        type=whole(minimum=0),
        default=SIZE,
        help="length of each random message, in bytes (default: %(default)s)",
    )
    source.add_argument(
        "--file",
        metavar="FILE",
        help="publish each line of FILE, and end after the last; - is standard input; the newline is part of the"
        " message only with --framing raw",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        help="time from one message to the next, in seconds; 0: as fast as the relay takes them"
        f" (default: {INTERVAL:g}, with --file 0)",
    )
    parser.add_argument(
        "--count",
        metavar="N",
        type=whole(minimum=1),
        help="end after N messages (default: never, or at the end of FILE)",
    )
    _add_session_options(parser)
    options = parser.parse_args(arguments, Options())
    check_tls(parser, options)
    check_name(parser, options.name)
    options.acks = options.acks or bool(options.name)
    if options.acks and options.framing != "int32":
        parser.error(f"there are no acks with --framing {options.framing}: --acks and --name need int32")
    if options.interval is None:
        options.interval = INTERVAL if options.file is None else 0.0
    if options.size > options.max_message:
        parser.error(f"--size {options.size} is more than --max-message {options.max_message}")
    try:
        find_framing(options.framing).frame(b"x" * options.size)
    except ValueError as error:
        parser.error(f"--framing {options.framing} has no messages of --size {options.size}: {error}")
    return options


def _add_session_options(parser: Parser) -> None:
    group = parser.add_argument_group("sessions", "They need --framing int32.")
    group.add_argument(
        "--acks", action="store_true", help="have the relay acknowledge messages, and send again what it did not"
    )
    group.add_argument(
        "--name",
        metavar="NAME",
        default="",
        help="let the relay count the messages of NAME over all connections, so that each is published once (implies"
        " --acks); with a file, go on behind the lines that were published under this name before",
    )
