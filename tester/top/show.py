"""Shows views of a relay in the terminal: one as plain text, or each in place of the one before."""

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
REFRESHES = 4  # per second, so that a window whose size changes is soon filled; the relay is not asked again for them


def watch(options: Options) -> Watch:
    """A `Watch` of the relay that the options name. From now on, standard output escapes what it cannot encode."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    port = WebPort(options.address, options.token_file)
    return Watch(str(options.address), port.get, time.monotonic, datetime.now)


def once(options: Options) -> None:
    """Print one view, with the rates between two. Ends the program with one line and status 1 if there is none."""
    watched = watch(options)
    for pause in (options.interval, 0):
        view = watched.look()
        if view.trouble:
            raise SystemExit(view.trouble)
        time.sleep(pause)
    console = Console(force_terminal=False, color_system=None)
    try:
        with console.capture() as printed:  # rich itself would end the program if the reader of the output has left
            console.print(Screen(view), height=console.height - 1)  # one line is for the prompt
        print(printed.get(), end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would flush it again, and fail
        if not isinstance(error, BrokenPipeError):  # it is no error that the reader has left
            raise SystemExit(error.strerror) from None


def live(options: Options) -> None:
    """Show view after view, until KeyboardInterrupt."""
    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        raise SystemExit("a live view needs a terminal; --once needs none")
    watched = watch(options)
    with Live(Screen(watched.view, HINT), console=console, screen=True, refresh_per_second=REFRESHES) as shown:
        while True:
            shown.update(Screen(watched.look(), HINT), refresh=True)
            time.sleep(options.interval)
