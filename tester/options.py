"""The command line of the programs: errors of one line, and the options that they share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tester.tls import Tls, authorities, identity

LONGEST_FRAME = 2**32 - 1  # bytes: the largest length that 4 bytes can say


class Parser(argparse.ArgumentParser):
    """Ends the program with status 2 and one line, without repeating how it is used."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


class TlsOptions(argparse.Namespace):
    """What all programs are told about TLS."""

    tls: bool
    ca: Path | None
    cert: Path | None

    @property
    def credentials(self) -> Tls | None:
        """With what to connect; None: without TLS."""
        return Tls(self.ca, self.cert) if self.tls else None


def add_tls_options(parser: argparse._ActionsContainer) -> None:
    """Add the options of `TlsOptions` to a parser or to a group of one."""
    parser.add_argument(
        "--tls", action="store_true", help="connect with TLS, and verify the relay's certificate and name"
    )
    parser.add_argument(
        "--ca",
        metavar="FILE",
        type=authorities,
        help="the authorities that are trusted, PEM (default: those of the system)",
    )
    parser.add_argument(
        "--cert",
        metavar="FILE",
        type=identity,
        help="a certificate of ours, and its key, in one file, PEM: for a relay that wants to see one",
    )


def check_tls(parser: Parser, options: TlsOptions) -> None:
    """End the program if there is something for TLS, and no TLS."""
    for name, file in (("--ca", options.ca), ("--cert", options.cert)):
        if file is not None and not options.tls:
            parser.error(f"{name} is for TLS: give --tls as well")


class ConnectionOptions(TlsOptions):
    """What publisher and client are told about the relay."""

    connect: str
    framing: str
    max_message: int


def add_connection_options(parser: Parser, port: int) -> None:
    """Add the options of `ConnectionOptions`; `port` is where on this machine the relay is looked for."""
    parser.add_argument(
        "--connect",
        metavar="ENDPOINT",
        default=f"tcp:127.0.0.1:{port}",
        help="where the relay listens: HOST:PORT or a Twisted endpoint string such as unix:PATH (default: %(default)s)",
    )
    add_tls_options(parser)
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
