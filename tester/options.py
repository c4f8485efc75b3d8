"""The command line of the two programs: errors of one line, and the options that both have."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NoReturn

LONGEST_FRAME = 2**32 - 1  # bytes: the largest length that 4 bytes can say


class Parser(argparse.ArgumentParser):
    """Ends the program with status 2 and one line, without repeating how it is used."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


class ConnectionOptions(argparse.Namespace):
    """What both programs are told about the relay."""

    connect: str
    framing: str
    max_message: int


def add_connection_options(parser: Parser, port: int) -> None:
    """Add the options of `ConnectionOptions`; `port` is where on this machine the relay is looked for."""
    parser.add_argument(
        "--connect",
        metavar="ENDPOINT",
        default=f"tcp:127.0.0.1:{port}",
        help="where the relay listens: HOST:PORT or a Twisted endpoint string such as tls:HOST:PORT or unix:PATH"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--framing",
        choices=["int32", "raw", "line"],
        default="int32",
        help="what the relay was started with. int32: a 4-byte length before each message; line: a newline"
        " after it; raw: nothing (default: %(default)s)",
    )
    parser.add_argument(
        "--max-message",
        metavar="BYTES",
        type=whole(minimum=1, maximum=LONGEST_FRAME),
        # A message is held in memory whole, and Twisted joins its parts anew for each read: up to here that is quick.
        default=16 * 2**20,
        help="length of the longest message to accept, in bytes (default: %(default)s)",
    )


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """A conversion for argparse: a whole number within limits."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not a whole number: {text!r}") from None
        if number < minimum:
            raise argparse.ArgumentTypeError(f"{number} is less than {minimum}")
        if maximum is not None and number > maximum:
            raise argparse.ArgumentTypeError(f"{number} is more than {maximum}")
        return number

    return convert


def seconds(text: str) -> float:
    """A conversion for argparse: a span of time."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return number
