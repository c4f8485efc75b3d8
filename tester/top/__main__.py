"""`python -m tester.top`: watch a relay in a terminal."""

from __future__ import annotations

import importlib.util
import signal

from tester.top.options import parse


def check_installed() -> None:
    """End the program if what it reads and shows figures with is missing."""
    for module, package in (("rich", "rich"), ("prometheus_client", "prometheus-client")):
        if importlib.util.find_spec(module) is None:
            raise SystemExit(f"{package} is not installed; to get it: pip install '.[top]'")


def main() -> None:
    """The program. Ctrl-C is how it is meant to end."""
    options = parse()
    check_installed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the terminal is put in order after that, too
    try:
        from tester.top.show import live, once

        (once if options.once else live)(options)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
