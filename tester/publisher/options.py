"""The command line of `python -m tester.publisher`."""

from __future__ import annotations

from collections.abc import Sequence

from tester.options import ConnectionOptions, Parser, add_connection_options, called, check_tls, seconds, whole

INTERVAL = 10.0  # seconds
SIZE = 1024  # bytes


class Options(ConnectionOptions):
    """The options of the publisher."""

    size: int
    file: str | None
    interval: float
    count: int | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.publisher"),
        description="Publish random messages, or the lines of a file. Waits for a relay that is not there yet, and"
        " connects again to one that restarts. Ends once the relay has read everything; Ctrl-C ends it at once.",
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
    options = parser.parse_args(arguments, Options())
    check_tls(parser, options)
    if options.interval is None:
        options.interval = INTERVAL if options.file is None else 0.0
    if options.size > options.max_message:
        parser.error(f"--size {options.size} is more than --max-message {options.max_message}")
    if options.size == 0 and options.framing == "raw":
        parser.error("--framing raw has no empty messages: --size is at least 1")
    return options
