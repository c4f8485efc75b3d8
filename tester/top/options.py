"""The command line of `python -m tester.top`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from tester.options import Parser, called, seconds
from tester.top.web import Address, read_token

SHORTEST = 0.1  # seconds: one answer costs a relay with 10,000 connections up to 0.05 s


class Options(argparse.Namespace):
    """The options of the terminal view."""

    address: Address
    token_file: Path | None
    interval: float
    once: bool


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.top"),
        description="Show what a relay does, updated every second: rates and totals, the number of connections, the"
        " buffer, the slowest subscribers, and which connections ended and why. Waits for a relay that is not there."
        " Ctrl-C ends it.",
    )
    parser.add_argument(
        "address",
        metavar="URL",
        nargs="?",
        type=web_address,
        default="http://127.0.0.1:8003",
        help="the address of the relay's web port, its --web (default: %(default)s)",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=token_file,
        help="the relay's --web-token-file, or a copy; it is read anew for each request",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        default=1.0,
        help=f"seconds between two updates, at least {SHORTEST:g} (default: %(default)g)",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="ask the relay twice, --interval apart, print one view as plain text, and end; the exit status is 1 if"
        " the relay does not answer",
    )
    options = parser.parse_args(arguments, Options())
    if options.interval < SHORTEST:
        parser.error(f"--interval is at least {SHORTEST:g}")
    return options


def web_address(text: str) -> Address:
    """A conversion for argparse: a URL of http or https, or HOST:PORT."""
    url = text if "://" in text else f"http://{text}"
    found = re.fullmatch(r"(https?)://(?:([\w.-]+)|\[([\da-fA-F:.]+)\])(?::(\d{1,5}))?(/[!-~]*)?", url, re.ASCII)
    if found is None or "?" in url or "#" in url:
        raise argparse.ArgumentTypeError(f"not an address such as http://127.0.0.1:8003: {text!r}")
    scheme, name, number, port, path = found.groups()
    if port is not None and not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"there is no port {port}: {text!r}")
    return Address(scheme == "https", name or number, None if port is None else int(port), (path or "").rstrip("/"))


def token_file(text: str) -> Path:
    """A conversion for argparse: a file that holds a token now."""
    try:
        read_token(Path(text))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)
