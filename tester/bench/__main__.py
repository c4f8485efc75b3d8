"""`python -m tester.bench`: measure a relay, and other systems for comparison."""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import sys
from functools import partial
from subprocess import SubprocessError

from tester.bench.figures import Figures, remarks
from tester.bench.load import LoadError
from tester.bench.measure import Run, chosen, measure, medians, plan
from tester.bench.options import Options, parse
from tester.bench.plot import draw
from tester.bench.report import show, title, write
from tester.bench.server import ServerError

FILES = 200  # files that a process may have open besides its connections


def say(text: str) -> None:
    """Show a person one line that is not part of the results."""
    print(text, file=sys.stderr, flush=True)


def check_installed(options: Options) -> None:
    """End the program, before anything is measured, if a package that shows the results is missing."""
    for module in ("rich", "matplotlib") if options.plot else ("rich",):
        if importlib.util.find_spec(module) is None:
            raise SystemExit(f"{module} is not installed; to get it: {sys.executable} -m pip install {module}")


def allow_files(connections: int) -> None:
    """Raise the limit of open files, so that this process and those that it starts may have `connections`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise SystemExit(f"{connections:,} connections need {needed:,} open files; ulimit -Hn says {hard:,}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def go(runs: list[Run], options: Options) -> list[Figures]:
    """Measure one run after the other, with a progress bar. A run that fails is reported, and has no figures."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    results = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=sum(run.seconds for run in runs))
        for run in runs:
            progress.update(task, description=f"{run.system.name}, {run.subscribers:,} subscribers")
            try:
                results.append(measure(run, options, partial(progress.advance, task)))
            except (LoadError, ServerError, OSError, SubprocessError) as error:
                say(f"{run.system.name}, {run.subscribers:,} subscribers: {error}")
    return results


def bench(options: Options) -> bool:
    """Measure, and show the results. True if every run succeeded and no message was lost or damaged."""
    systems = list(chosen(options, say))
    planned = plan(options, systems)
    runs = go(planned, options)
    if not runs:
        return False
    results = medians(runs)
    show(options, results)
    for figures in results:
        for remark in remarks(figures, options.rate, os.cpu_count() or 1):
            print(remark)
    if options.json:
        write(options.json, systems, runs, results)
    if options.plot:
        draw(options.plot, title(options), results)
    return len(runs) == len(planned) and all(figures.is_sound for figures in results)


def main() -> None:
    """Run the program. The exit status is 1 if a run failed, or if a message was lost or damaged."""
    options = parse()
    check_installed(options)
    allow_files(max(options.subscribers) + options.publishers)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is cleaned up then, too
    try:
        sound = bench(options)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    sys.exit(not sound)


if __name__ == "__main__":
    main()
