"""The command line of `python -m tester.client`."""

from __future__ import annotations

from collections.abc import Sequence

from tester.options import ConnectionOptions, Parser, add_connection_options, called, check_tls, whole


class Options(ConnectionOptions):
    """The options of the client."""

    count: int | None
    raw: bool


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.client"),
        description="Subscribe, and print a line for every message: the time, a number that counts from the start, the"
        " length in bytes, a checksum and the first characters, escaped. Waits for a relay that is not there yet, and"
        " connects again to one that restarts. Ctrl-C ends it.",
    )
    add_connection_options(parser, port=8002)
    parser.add_argument("--count", metavar="N", type=whole(minimum=1), help="end after N messages (default: never)")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print only the bytes of the messages; with --framing line, a newline follows each",
    )
    options = parser.parse_args(arguments, Options())
    check_tls(parser, options)
    return options
