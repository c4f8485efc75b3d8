"""The command line of `python -m tester.client`."""

from __future__ import annotations

from collections.abc import Sequence

from tester.options import ConnectionOptions, Parser, add_connection_options, check_tls, whole


class Options(ConnectionOptions):
    """What the client is told."""

    count: int | None
    raw: bool


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The options that `arguments` (by default the process's own) give; exits with one line if they are wrong."""
    parser = Parser(
        prog="python -m tester.client",
        description="Subscribe, and print every message: when it came, its number since the start, its length in"
        " bytes, its checksum and its first characters, escaped. Waits for a relay that is not there yet and comes"
        " back to one that left. Ctrl-C ends it.",
    )
    add_connection_options(parser, port=8002)
    parser.add_argument("--count", metavar="N", type=whole(minimum=1), help="end after N messages (default: never)")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print the bytes of the messages and nothing else (with --framing line: and their newlines)",
    )
    options = parser.parse_args(arguments, Options())
    check_tls(parser, options)
    return options
