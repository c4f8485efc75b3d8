"""`relay systemd-units`: the units for systemd, with the path under which this relay is installed.

They are the files of `deploy/systemd`, which are installed with the relay.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from importlib.resources import files

UNITS = ("relay.service", "relay-socket.service", "relay-publish.socket", "relay-subscribe.socket")
WRITTEN = "/opt/relay"
"""The virtual environment of the relay, as the files have it."""
HIDDEN = ("home", "root", "run/user")
"""Folders of the top level that are empty for the service, because of `ProtectHome=yes` (systemd.exec)."""


def unit(name: str, installed: str) -> str:
    """The text of the unit `name`. `installed`: the virtual environment of the relay."""
    return files("relay").joinpath("deploy", "systemd", name).read_text().replace(WRITTEN, installed)


def main() -> None:
    """Print the units that the command line names. Warns of a relay that systemd could not start."""
    parser = ArgumentParser(description="Print units for systemd. The top of each service says how to install it.")
    parser.add_argument("unit", metavar="UNIT", nargs="*", help=", ".join(UNITS))
    names = parser.parse_args().unit
    if not names or not set(names) <= set(UNITS):
        parser.exit(2, f"{parser.prog}: name one or more of {', '.join(UNITS)}\n")
    if sys.prefix.startswith(tuple(f"/{folder}/" for folder in HIDDEN)):
        print(f"relay: ProtectHome=yes hides {sys.prefix} from the service: install it in /opt, say", file=sys.stderr)
    for name in names:
        print(unit(name, sys.prefix), end="")
