"""Figures in the documents are those of the constants that they stand for, and every file that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import HTTPChannel

from relay.config import config, settings
from relay.core import history, log, pace, pending
from relay.core.timing import SWEEP
from relay.feeds import feeds
from relay.journal import syncing
from relay.net import listening, outlet, tls
from relay.observe import roster, turns
from relay.peers import acks, admission, connection, ended_connection, rate_limited_log
from relay.web import site, socket_dialogue, status, token, viewers, websocket
from tester.publisher import options as publisher
from tester.top import connections as top

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")])
WORDS = {"two": 2, "three": 3, "five": 5, "six": 6, "eighth": 8, "twenty-fourth": 24, "a": 1, "half a": 0.5}
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "%": 0.01, "millisecond": 0.001, "quarter": 0.25}

DESIGN = "docs/design.md"
OPERATIONS = "docs/operations.md"
PERFORMANCE = "docs/performance.md"
PROTOCOL = "docs/protocol.md"
RELIABILITY = "docs/reliability.md"
README = "README.md"

COPIED = FileDescriptor.bufferSize + outlet.SLICE
"""Bytes that are copied for one subscriber, at most, where Twisted's own transport says when to stop."""
FIGURES: tuple[tuple[str, str, float], ...] = (
    (README, "publishes a random message every {10} seconds", publisher.INTERVAL),
    (OPERATIONS, "at least {1 MiB}, with a backbone 2 MiB, and at least 8 of the longest", config.MIN_BUFFER),
    (OPERATIONS, "at least 1 MiB, with a backbone {2 MiB}, and at least 8 of the longest", config.MIN_SHARED_BUFFER),
    (OPERATIONS, "at least 1 MiB, with a backbone 2 MiB, and at least {8} of the longest", config.MIN_MESSAGES),
    (OPERATIONS, "raised to the hard one), at most {65,536}", admission.MAX_CONNECTIONS),
    (OPERATIONS, "TCP asks, {six} times in a minute", listening.KEEPALIVE_PROBES),
    (OPERATIONS, "TCP asks, {six} times in a minute", 60 / listening.KEEPALIVE_INTERVAL),
    (OPERATIONS, "0: never; at most {32,767}", config.MAX_KEEPALIVE),
    (OPERATIONS, "at least {4 KiB}, and less than 2 GiB", config.MIN_SEND_BUFFER),
    (OPERATIONS, "at least 4 KiB, and less than {2 GiB}", config.MAX_SEND_BUFFER + 1),
    (OPERATIONS, "up to {96 KiB} more than over TCP", COPIED),
    (OPERATIONS, "up to {96 KiB} more than without the protocol", COPIED),
    (OPERATIONS, "at most {20} lines a second of each kind", rate_limited_log.MAX_LINES / SWEEP),
    (OPERATIONS, "peers caused more than {20} lines of this kind in a second", rate_limited_log.MAX_LINES / SWEEP),
    (OPERATIONS, "the newest messages ({20} at most", status.TAIL),
    (OPERATIONS, "the first {200} bytes of each", status.SHOWN),
    (OPERATIONS, "at most {1,000} open connections", roster.PAGE),
    (OPERATIONS, "the last {1,000} connections that ended", ended_connection.REMEMBERED),
    (OPERATIONS, "one word, and at most {4,096} bytes", token.MAX_TOKEN_FILE),
    (OPERATIONS, "serves one request, and lasts {30} seconds at most", site.SECONDS),
    (OPERATIONS, "There may be {500} connections", admission.MAX_WEB_CONNECTIONS),
    (OPERATIONS, "with at most {16 KiB} and 500 headers", HTTPChannel.totalHeadersSize),
    (OPERATIONS, "with at most 16 KiB and {500} headers", HTTPChannel.maxHeaders),
    (OPERATIONS, "ends if it is not read for {30} seconds", viewers.PATIENCE * SWEEP),
    (OPERATIONS, "that is {4 %} of its time", round(feeds.SHARE, 2)),
    (OPERATIONS, "at most a {quarter} of it for all feeds", 1 / feeds.LENT),
    (OPERATIONS, "at most {three} feeds of each kind", feeds.FEEDS),
    (OPERATIONS, "in at most {five} eighths of `--buffer`", history.KEPT),
    (OPERATIONS, "in less than {2} seconds, it keeps 1 MiB", history.ENOUGH),
    (OPERATIONS, "in less than 2 seconds, it keeps {1 MiB}", history.LITTLE),
    (OPERATIONS, "at most {three} of its pages", top.PAGES),
    (OPERATIONS, "of its pages ({3,000} connections", top.PAGES * roster.PAGE),
    (OPERATIONS, "one is measured every {quarter} of a second", turns.MEASURE),
    (OPERATIONS, "One for each connection, {64} for the rest", admission.RESERVE),
    (OPERATIONS, "with `--web` {500} more", admission.MAX_WEB_CONNECTIONS),
    (OPERATIONS, "completes up to {4,096} connections", listening.BACKLOG),
    (OPERATIONS, "A WebSocket subscriber may send messages of at most {4,096} bytes", websocket.MAX_MESSAGE),
    (PROTOCOL, "the smallest of {256 KiB}, `--max-message`", pace.MAX_READ),
    (PROTOCOL, "and the {10,000} that were connected last", settings.MAX_NAMES),
    (PROTOCOL, "reads and discards for {5} seconds", connection.PATIENCE * SWEEP),
    (PROTOCOL, "messages of at most {4,096} bytes", websocket.MAX_MESSAGE),
    (PROTOCOL, "sent a message of more than {4,096} bytes", websocket.MAX_MESSAGE),
    (PROTOCOL, "read at {8 KiB} a second", socket_dialogue.MAX_INPUT / SWEEP),
    (RELIABILITY, "{20} log lines of each kind a second", rate_limited_log.MAX_LINES / SWEEP),
    (RELIABILITY, "accepted in the end, at most {32} a turn", listening.MAX_ACCEPTS),
    (RELIABILITY, "accepting pauses for {a} second", listening.BACK_OFF),
    (RELIABILITY, "Up to {1,000} subscribers, a turn", pace.MANY),
    (RELIABILITY, "reads of less than {16 KiB} would cost", pace.LEAST_READ),
    (PERFORMANCE, "a turn carries up to {256 KiB}, so", pace.MAX_READ),
    (PERFORMANCE, "a turn carries less than {256 KiB}, so", pace.MAX_READ),
    (PERFORMANCE, "Flushing after {256 KiB}", pace.FLUSH),
    (PERFORMANCE, "sent 48 KiB at once and not {64}", tls.MAX_ENCRYPTED // 2**10),
    (DESIGN, "Past {256 KiB}, or an eighth of the buffer", pace.FLUSH),
    (DESIGN, "pieces of {64 KiB} and more become batches", pending.LARGE),
    (DESIGN, "{128 MiB} for all subscribers together", pace.TURN),
    (DESIGN, "never less than {16 KiB} from one publisher", pace.LEAST_READ),
    (DESIGN, "and {512} bytes for its objects", log.OVERHEAD),
    (DESIGN, "at most {1 MiB} a turn", pace.CATCH_UP),
    (DESIGN, "encrypts {64 KiB}", tls.MAX_ENCRYPTED),
    (DESIGN, "slices of {32 KiB} to `write`", outlet.SLICE),
    (DESIGN, "do that above {64 KiB}", FileDescriptor.bufferSize),
    (DESIGN, "at most {96 KiB} are copied", COPIED),
    (DESIGN, "gets {half a} millisecond", feeds.TIME_SLICE * 1000),
    (DESIGN, "a {twenty-fourth} of the time", 1 / feeds.SHARE),
    (DESIGN, "a {quarter} of the buffer for all of them", 1 / feeds.LENT),
    (DESIGN, "each may hold a {36}th", feeds.PART),
    (DESIGN, "at most {three} feeds of an encoding", feeds.FEEDS),
    (DESIGN, "an ack waits for {5} ms at most", acks.WAIT * 1000),
    (DESIGN, "and else within a {quarter} of a second", syncing.LAZY),
    (OPERATIONS, "the disk has a message within a {quarter} of a second", syncing.LAZY),
    (DESIGN, "then {five} eighths of the buffer, but only a little", history.KEPT),
    (DESIGN, "leaves an {eighth} of the buffer to catch up in", 8 / history.LEFT),
    (DESIGN, "log keeps history, {five} eighths", history.KEPT),
    (DESIGN, "stops for {a} second instead", listening.BACK_OFF),
    (DESIGN, "written {20} times a second", rate_limited_log.MAX_LINES / SWEEP),
)
"""A document, a phrase of it with the figure in braces, and the value of the constant that the figure stands for."""


def value(figure: str) -> float:
    """What a figure says: a number or a word for one, with a unit or without."""
    if figure in WORDS:
        return WORDS[figure]
    if figure in UNITS:
        return UNITS[figure]
    number, _, unit = figure.partition(" ")
    return float(number.replace(",", "")) * (UNITS[unit] if unit else 1)


def text(document: str) -> str:
    """A document, with one space wherever there are spaces or ends of lines."""
    return " ".join((ROOT / document).read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("document", "phrase", "constant"), FIGURES, ids=[f"{row[0]}: {row[1]}" for row in FIGURES])
def test_a_figure_is_there_and_is_that_of_its_constant(document: str, phrase: str, constant: float) -> None:
    [figure] = re.findall(r"\{(.*?)\}", phrase)
    assert phrase.replace(f"{{{figure}}}", figure) in text(document)
    assert value(figure) == pytest.approx(constant)


GENERATED = {"twisted/plugins/dropin.cache"}
"""What Twisted writes where the relay is installed."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    """Also those of tests, which docs/reliability.md names without `tests/` and `.py`."""
    paths = r"(?<![\w./-])(?:\.\./)?((?:relay|tests|tester|deploy|examples|twisted)/[\w./-]*\w)"
    named = set(re.findall(paths, page.read_text(encoding="utf-8"))) - GENERATED
    assert [path for path in sorted(named) if not (ROOT / path).exists() and not (TESTS / f"{path}.py").exists()] == []
