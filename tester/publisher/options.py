"""The command line of `python -m tester.publisher`."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.wire.framings import FRAMINGS, find_framing
from tester.options import (
    FRAMING,
    ConnectionOptions,
    Parser,
    add_connection_options,
    called,
    check_name,
    check_tls,
    seconds,
    whole,
)

if TYPE_CHECKING:
    from tester.publisher.recording import Recording

INTERVAL = 10.0  # seconds
SIZE = 1024  # bytes


class Options(ConnectionOptions):
    """The options of the publisher."""

    size: int
    file: str | None
    recording: Recording | None
    speed: float
    """How many times as fast as it was published a recording is played; may be infinite."""
    interval: float
    count: int | None
    acks: bool
    name: str


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Parse `arguments`, by default those of the process. Ends the program with one line if they are wrong."""
    parser = Parser(
        prog=called("tester.publisher"),
        description="Publish random messages, the lines of a file, or what a journal has. Waits for a relay that is not"
        " there yet, and connects again to one that restarts. Ends once the relay has read everything, with status 0,"
        " or with 1 if that is not sure; Ctrl-C ends it at once.",
    )
    add_connection_options(parser, port=8001)
    parser.set_defaults(framing=None)
    _add_source_options(parser)
    _add_session_options(parser)
    options, others = parser.parse_known_args(arguments, Options())
    if others:
        unknown = f"unrecognized arguments: {' '.join(others)}"
        text = not any(one.startswith("-") for one in others)
        parser.error(f"{unknown}; a text is published with --file -, from standard input" if text else unknown)
    _settle_source(parser, options)
    check_tls(parser, options)
    check_name(parser, options.name)
    options.acks = options.acks or bool(options.name)
    if options.acks and options.framing != "int32":
        parser.error(f"there are no acks with --framing {options.framing}: --acks and --name need int32")
    return options


def _add_source_options(parser: Parser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--size",
        metavar="BYTES",
        type=whole(minimum=0),
        default=SIZE,
        help="length of each random message, in bytes (default: %(default)s)",
    )
    source.add_argument(
        "--file",
        metavar="FILE",
        help="publish each line of FILE, and end after the last; - is standard input; the newline is part of the"
        " message only with --framing raw",
    )
    source.add_argument(
        "--from-journal",
        metavar="DIR",
        dest="recording",
        type=_recording,
        help="publish the messages of a relay's journal, in the journal's framing unless --framing is given, and end"
        " after the last that is there now; a relay may be writing it",
    )
    parser.add_argument(
        "--speed",
        metavar="X",
        type=_speed,
        help="with --from-journal: X times as fast as the messages were published, or as fast as the relay takes them"
        " (max) (default: 1)",
    )
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        help="time from one message to the next, in seconds; 0: as fast as the relay takes them"
        f" (default: {INTERVAL:g}, with --file 0)",
    )
    parser.add_argument(
        "--count",
        metavar="N",
        type=whole(minimum=1),
        help="end after N messages (default: never, or at the end of FILE or journal)",
    )


def _recording(folder: str) -> Recording:
    from relay.journal.inspection import Unreadable
    from relay.journal.segment import Damaged
    from tester.publisher.recording import open_recording

    try:
        return open_recording(folder)
    except OSError as error:
        raise ArgumentTypeError(f"{error.filename}: {error.strerror}") from None
    except (Damaged, Unreadable) as error:
        raise ArgumentTypeError(str(error)) from None


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise ArgumentTypeError(f"not a number greater than 0, nor max: {text!r}")
    return speed


def _settle_source(parser: Parser, options: Options) -> None:
    """Fill in what was not given, by where messages come from. Ends the program if the options contradict that."""
    recording = options.recording
    if recording is None:
        if options.speed is not None:
            parser.error("--speed is for --from-journal")
        options.framing = options.framing or FRAMING
        if options.interval is None:
            options.interval = INTERVAL if options.file is None else 0.0
        if options.file is None:
            _check_size(parser, options)
        return
    if options.interval is not None:
        parser.error("--interval is not for --from-journal: --speed is")
    if recording.framing not in (*FRAMINGS, options.framing):
        # The class is imported because the user names it, and not because a file does.
        parser.error(f"the journal has the framing {recording.framing}: give it with --framing")
    options.framing = options.framing or recording.framing
    options.speed = options.speed or 1.0


def _check_size(parser: Parser, options: Options) -> None:
    """End the program if there are no random messages of --size."""
    if options.size > options.max_message:
        parser.error(f"--size {options.size} is more than --max-message {options.max_message}")
    try:
        find_framing(options.framing).frame(b"x" * options.size)
    except ValueError as error:
        parser.error(f"--framing {options.framing} has no messages of --size {options.size}: {error}")


def _add_session_options(parser: Parser) -> None:
    group = parser.add_argument_group("sessions", "They need --framing int32.")
    group.add_argument(
        "--acks", action="store_true", help="have the relay acknowledge messages, and send again what it did not"
    )
    group.add_argument(
        "--name",
        metavar="NAME",
        default="",
        help="let the relay count the messages of NAME over all connections, so that each is published once (implies"
        " --acks); with a file or a journal, go on behind what was published under this name before",
    )
