"""`python -m tester.top`: watch a relay in a terminal."""

from __future__ import annotations

import importlib.util
import signal
import sys

from tester.top.options import parse


def check_installed() -> None:
    """End the program if a package that it needs is missing."""
    for module, package in (("rich", "rich"), ("prometheus_client", "prometheus-client")):
        if importlib.util.find_spec(module) is None:
            raise SystemExit(f"{package} is not installed; to get it: {sys.executable} -m pip install {package}")


def main() -> None:
    """Run the program, until Ctrl-C ends it."""
    options = parse()
    check_installed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the terminal is restored then, too
    try:
        from tester.top.show import live, once

        (once if options.once else live)(options)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
