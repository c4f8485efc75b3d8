"""What the command lines of the programs share: errors in one line, and options for the connection and TLS."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from relay.wire.framings import FRAMINGS, find_framing
from relay.wire.hello import MAX_NAME
from tester.tls import Tls, authorities, identity

FRAMING = "int32"
LONGEST_FRAME = 2**32 - 1  # bytes: the largest length that a 4-byte prefix can express


def called(module: str) -> str:
    """What somebody typed to start the program in `module`: `relay publish`, or `python -m` and the module.

    The console script `relay` leaves its own words in `sys.argv[0]`.
    """
    return sys.argv[0] if sys.argv[0].startswith("relay ") else f"python -m {module}"


class Parser(argparse.ArgumentParser):
    """For a wrong option, ends the program with status 2 and one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help tells more)\n")


class TlsOptions(argparse.Namespace):
    """The options for TLS that all programs have but the terminal view."""

    tls: bool
    ca: Path | None
    cert: Path | None

    @property
    def credentials(self) -> Tls | None:
        """What to connect with; None: without TLS."""
        return Tls(self.ca, self.cert) if self.tls else None


def add_tls_options(parser: argparse._ActionsContainer) -> None:
    """Add the options of `TlsOptions` to `parser`, a parser or a group of one."""
    parser.add_argument(
        "--tls", action="store_true", help="connect with TLS, and verify the relay's certificate and name"
    )
    parser.add_argument(
        "--ca",
        metavar="FILE",
        type=authorities,
        help="authorities that may have signed the relay's certificate, PEM (default: those that the system trusts)",
    )
    parser.add_argument(
        "--cert",
        metavar="FILE",
        type=identity,
        help="a client certificate and its key in one file, PEM, for a relay that asks for one",
    )


def check_tls(parser: Parser, options: TlsOptions) -> None:
    """End the program if an option for TLS was given without --tls."""
    for name, file in (("--ca", options.ca), ("--cert", options.cert)):
        if file is not None and not options.tls:
            parser.error(f"{name} is for TLS: give --tls as well")


def check_name(parser: Parser, name: str) -> None:
    """End the program if a relay would refuse the name."""
    if len(name) > MAX_NAME or not name.isprintable():
        parser.error(f"argument --name: not 1 to {MAX_NAME} printable characters: {name!r}")


class ConnectionOptions(TlsOptions):
    """The options for the connection that publisher and client share."""

    connect: str
    framing: str
    """Its name."""
    max_message: int


def add_connection_options(parser: Parser, port: int) -> None:
    """Add the options of `ConnectionOptions`; `port`: where on this machine the relay listens by default."""
    parser.add_argument(
        "--connect",
        metavar="ENDPOINT",
        default=f"tcp:127.0.0.1:{port}",
        help="where the relay listens: HOST:PORT or a Twisted endpoint string such as unix:PATH (default: %(default)s)",
    )
    add_tls_options(parser)
    parser.add_argument(
        "--framing",
        metavar="NAME",
        type=framing_name,
        default=FRAMING,
        help=f"the framing that the relay was started with: {', '.join(FRAMINGS)}, or a class as package.module:Class"
        f" (default: {FRAMING})",
    )
    parser.add_argument(
        "--max-message",
        metavar="BYTES",
        type=whole(minimum=1, maximum=LONGEST_FRAME),
        # A message is held in memory whole, and Twisted joins its parts anew at each read, which is quick up to 16 MiB.
        default=16 * 2**20,
        help="length of the longest message to accept, in bytes (default: %(default)s)",
    )


def framing_name(text: str) -> str:
    """A conversion for argparse: the name of a framing, which `find_framing` then finds."""
    try:
        find_framing(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """A conversion for argparse: a whole number from `minimum` to `maximum`, or without an upper limit."""

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
    """A conversion for argparse: a number of seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return number
