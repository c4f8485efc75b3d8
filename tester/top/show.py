"""Between the views of a relay and the terminal: one of them as text, or one after the other in place."""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from io import TextIOWrapper

from rich.console import Console
from rich.live import Live

from tester.top.options import Options
from tester.top.screen import Screen
from tester.top.watch import Watch
from tester.top.web import WebPort

HINT = "Ctrl-C ends it"
REFRESHES = 4  # a second: how soon a window of another size is filled; the relay is not asked for it


def watch(options: Options) -> Watch:
    """What looks at the relay that the options name; what the output has no characters for is spelled from now on."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    port = WebPort(options.address, options.token_file)
    return Watch(str(options.address), port.get, time.monotonic, datetime.now)


def once(options: Options) -> None:
    """Print a view, with the rates between two; exits with one line and status 1 if there is none."""
    watched = watch(options)
    for pause in (options.interval, 0):
        view = watched.look()
        if view.trouble:
            raise SystemExit(view.trouble)
        time.sleep(pause)
    console = Console(force_terminal=False, color_system=None)
    try:
        with console.capture() as printed:  # rich would end the program if the reader has enough
            console.print(Screen(view), height=console.height - 1)  # and a line for the prompt
        print(printed.get(), end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would flush it again
        if not isinstance(error, BrokenPipeError):  # a reader that has enough is none
            raise SystemExit(error.strerror) from None


def live(options: Options) -> None:
    """Show view after view, until somebody ends it with KeyboardInterrupt."""
    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        raise SystemExit("a live view needs a terminal; --once needs none")
    watched = watch(options)
    with Live(Screen(watched.view, HINT), console=console, screen=True, refresh_per_second=REFRESHES) as shown:
        while True:
            shown.update(Screen(watched.look(), HINT), refresh=True)
            time.sleep(options.interval)
