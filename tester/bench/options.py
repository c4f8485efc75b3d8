"""The command line of `python -m tester.bench`."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path

from relay.wire.framings import FRAMINGS
from relay.wire.hello import MAX_HEARTBEAT, MIN_HEARTBEAT
from tester.bench.phase import INTERVAL
from tester.bench.systems import PEERS
from tester.bench.wire import relay
from tester.options import Parser, TlsOptions, add_tls_options, called, check_tls, seconds, whole

Address = tuple[str, int]

SMALLEST = 16  # bytes of a message: it begins with the time and the number of the message
LARGEST = 2**20  # bytes of a message: NATS allows no more by default
MOST_SUBSCRIBERS = 20_000  # each connection takes a local port, and Linux has some 28,000 for them
MOST_WORKERS = 256  # as many as the relay takes


class Options(TlsOptions):
    """The options of the benchmark."""

    publish: Address | None
    subscribe: Address | None
    pid: int | None
    workers: list[int]
    compare: list[str]
    subscribers: list[int]
    publishers: int
    size: int
    rate: float | None  # messages per second; None: as many as the system takes
    interval: float
    seconds: float
    framing: str
    """Its name."""
    runs: int
    window: int
    verify: bool
    session: bool
    acks: bool
    heartbeat: float
    json: Path | None
    plot: Path | None


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.bench"),
        description="Measure how many messages a relay delivers per second, how long that takes, and how much processor"
        " time and memory it needs. Starts a relay of its own on free ports of this machine, unless --publish and"
        " --subscribe name a running one.",
    )
    _add_systems(parser)
    _add_load(parser)
    _add_sessions(parser)
    _add_results(parser)
    options = parser.parse_args(arguments, Options())
    if (options.publish is None) != (options.subscribe is None):
        parser.error("--publish and --subscribe belong together")
    if options.pid is not None and options.publish is None:
        parser.error("--pid is for a relay that --publish and --subscribe name")
    if options.publish is not None and options.workers != [0]:
        parser.error("--workers is for a relay that is started here: --publish and --subscribe name a running one")
    check_tls(parser, options)
    if options.publish is None and (options.ca or options.cert):
        parser.error(
            "--ca and --cert are for a relay that --publish and --subscribe name: others get a certificate here"
        )
    if options.heartbeat and not MIN_HEARTBEAT <= options.heartbeat <= MAX_HEARTBEAT:
        parser.error(f"--heartbeat is from {MIN_HEARTBEAT} to {MAX_HEARTBEAT} seconds, or 0 for none")
    _check_framing(parser, options)
    if options.seconds == 0:
        parser.error("--seconds is more than 0")
    if options.plot is not None and options.plot.suffix != ".svg":
        parser.error(f"--plot writes SVG: {options.plot} does not end in .svg")
    for file in (options.json, options.plot):
        if file is not None and not os.access(file.parent, os.W_OK):
            parser.error(f"no file can be written in {file.parent}")
    return options


def _check_framing(parser: Parser, options: Options) -> None:
    """End the program if the load cannot be had with the framing."""
    if options.framing == "int32":
        return
    if options.session or options.acks:
        parser.error(f"--session and --acks are measured with --framing int32, not {options.framing}")
    try:
        least = relay(SMALLEST, options.framing).stamp_size
        relay(options.size, options.framing)
    except ValueError as error:
        parser.error(f"--framing {options.framing}: {error}")
    if options.framing != "int32" and options.workers != [0]:
        parser.error(f"--workers are measured with --framing int32, not {options.framing}")
    if options.size < least:
        parser.error(f"--framing {options.framing} needs messages of {least} bytes here: --size is {options.size}")


def _add_systems(parser: Parser) -> None:
    group = parser.add_argument_group("what is measured")
    group.add_argument(
        "--publish",
        metavar="HOST:PORT",
        type=address,
        help="where publishers connect to the running relay to be measured; needs --subscribe",
    )
    group.add_argument(
        "--subscribe",
        metavar="HOST:PORT",
        type=address,
        help="where subscribers connect to the running relay to be measured; needs --publish",
    )
    group.add_argument(
        "--pid",
        type=whole(minimum=1),
        help="the process of the relay that --publish and --subscribe name, if it is on this machine; without it, the"
        " relay's processor time and memory are not known",
    )
    group.add_argument(
        "--workers",
        metavar="N[,N...]",
        type=workers,
        default=[0],
        help="how many workers the relay has; several numbers take turns, for a comparison (default: 0)",
    )
    group.add_argument(
        "--compare",
        metavar="NAMES",
        type=names,
        default=[],
        help=f"other systems to measure with the same load, separated by commas: {','.join(PEERS)}",
    )
    add_tls_options(group)


def _add_load(parser: Parser) -> None:
    group = parser.add_argument_group("the load")
    group.add_argument(
        "--subscribers",
        metavar="N[,N...]",
        type=numbers,
        default=[10],
        help="how many connections receive; several numbers are measured one after the other (default: 10)",
    )
    group.add_argument(
        "--publishers",
        metavar="N",
        type=whole(minimum=1, maximum=1000),
        default=1,
        help="how many connections send (default: %(default)s)",
    )
    group.add_argument(
        "--size",
        metavar="BYTES",
        type=whole(minimum=SMALLEST, maximum=LARGEST),
        default=1024,
        help=f"length of each message, {SMALLEST} to {LARGEST} bytes (default: %(default)s)",
    )
    group.add_argument(
        "--framing",
        choices=[name for name in FRAMINGS if name != "raw"],
        default="int32",
        help="the relay's framing; other systems have their own (default: %(default)s)",
    )
    group.add_argument(
        "--rate",
        metavar="MESSAGES",
        type=rate,
        help="messages per second of all publishers together, or flood: as many as the system takes (default: flood)",
    )
    group.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        default=INTERVAL,
        help="with --rate, the time between two writes, in seconds; all messages that are due by then are written"
        " together (default: %(default)g)",
    )
    group.add_argument(
        "--seconds",
        type=seconds,
        default=5.0,
        help="how long messages are published in each run, in seconds (default: %(default)g)",
    )
    group.add_argument(
        "--runs",
        metavar="N",
        type=whole(minimum=1),
        default=1,
        help="how often everything is measured; the results are medians (default: 1)",
    )
    group.add_argument(
        "--window",
        metavar="BYTES",
        type=whole(minimum=4 * LARGEST),
        # Every system queues more than this for a subscriber, so that none has a reason to disconnect one.
        default=4 * LARGEST,
        help="how far publishers may be ahead of the slowest subscriber; with more than 1,024 subscribers it may be"
        " less (default: %(default)s)",
    )
    group.add_argument(
        "--verify",
        action="store_true",
        help="check every byte that every subscriber receives, which is slow; exit with status 1 if anything is wrong",
    )


def _add_sessions(parser: Parser) -> None:
    group = parser.add_argument_group(
        "sessions", "For the relay alone. --compare silent measures it with the same load and without sessions."
    )
    group.add_argument("--session", action="store_true", help="subscribers have sessions")
    group.add_argument(
        "--acks",
        action="store_true",
        help="publishers have sessions, and it is measured how long the relay takes to acknowledge what they send",
    )
    group.add_argument(
        "--heartbeat",
        metavar="SECONDS",
        type=seconds,
        default=10.0,
        help="time between two heartbeats of the relay in each session, in seconds; 0: none (default: %(default)g)",
    )


def _add_results(parser: Parser) -> None:
    group = parser.add_argument_group("the results")
    group.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write all figures to FILE, with the machine and the versions that they were measured on",
    )
    group.add_argument(
        "--plot", metavar="FILE.svg", type=Path, help="draw deliveries per second against the number of subscribers"
    )


def address(text: str) -> Address:
    """A conversion for argparse: HOST:PORT, where an IPv6 address may be in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"not HOST:PORT: {text!r}")
    return host.strip("[]"), int(port)


def numbers(text: str) -> list[int]:
    """A conversion for argparse: numbers of subscribers, separated by commas; returns each once, in ascending order."""
    convert = whole(minimum=1, maximum=MOST_SUBSCRIBERS)
    return sorted({convert(part) for part in text.split(",")})


def workers(text: str) -> list[int]:
    """A conversion for argparse: numbers of workers, separated by commas; returns each once."""
    convert = whole(minimum=0, maximum=MOST_WORKERS)
    return list(dict.fromkeys(convert(part) for part in text.split(",")))


def names(text: str) -> list[str]:
    """A conversion for argparse: names in `PEERS`, separated by commas; returns each once."""
    chosen = list(dict.fromkeys(text.split(",")))
    for name in chosen:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"not one of {', '.join(PEERS)}: {name!r}")
    return chosen


def rate(text: str) -> float | None:
    """A conversion for argparse: messages per second, or None for `flood`."""
    if text == "flood":
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"neither messages a second nor flood: {text!r}")
    return number
