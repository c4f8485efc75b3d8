"""`relay example-config`: a configuration file with every setting at its default, and what each means."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib.resources import files


def main() -> None:
    """Print `deploy/relay.toml`, which is installed with the relay."""
    ArgumentParser(description="Print a configuration file for relay serve --config.").parse_args()
    print(files("relay").joinpath("deploy", "relay.toml").read_text(), end="")
