"""Server-sent events of a real relay: on the wire, read by the rules of the HTML standard."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import pytest

from tests.kit.counted import Publisher, positions
from tests.kit.events import Event, Parser
from tests.kit.process import DEADLINE, Relay, roomy
from tests.kit.web import ask, relay, rows, wait_for_metric

PRESENT = 'relay_connections{feed="events",role="subscriber"}'
MIB = 2**20


class Stream:
    """A subscriber that is no browser; http.client takes the chunks apart."""

    def __init__(self, port: int, path: str = "/events", room: int | None = None, **headers: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        if room is not None:
            self.connection.sock = roomy(port, room)
        self.connection.request("GET", path, headers={key.replace("_", "-"): value for key, value in headers.items()})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        self.parser = Parser()
        self._found: list[Event] = []
        while not self.parser.last:
            self._found += self._more()

    def _more(self) -> list[Event]:
        data = self.response.read1(65536)
        if not data:
            raise EOFError
        return self.parser.feed(data)

    @property
    def run(self) -> str:
        return self.parser.last.rpartition("-")[0]

    def take(self, count: int) -> list[Event]:
        """The next events, as many as that."""
        while len(self._found) < count:
            self._found += self._more()
        taken, self._found = self._found[:count], self._found[count:]
        return taken

    def rest(self) -> list[Event]:
        """All until the end, which must be a proper one."""
        with suppress(EOFError):
            while True:
                self._found += self._more()
        return self._found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.response.close()


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Relay, int]]:
    with relay("--web-origin", "https://allowed.example") as pair:
        yield pair


# On the wire


def test_every_message_is_an_event_whatever_is_in_it(running: tuple[Relay, int]) -> None:
    relay_, port = running
    messages = [
        *(b"plain", b"", b"two\nlines", b"\n", b"\n\nend\n", b" leading", "é€🙂".encode(), b"\xef\xbb\xbfBOM", b"\0"),
        *(b"<script>alert(1)</script>", b"data: x\n\nid: 9\nevent: lost", b"0\r\n\r\n", b"a\rb", b"\xff\xfe", b"\xc3"),
        b"x" * 99_999,
    ]
    with Stream(port) as stream, Publisher(relay_, port) as publisher:
        assert stream.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.response.headers["Cache-Control"] == "no-store"
        first = publisher.published + 1
        assert (stream.parser.retry, stream.parser.last) == (1000, f"{stream.run}-{first - 1}")
        for message in messages:
            publisher.publish(message)
        publisher.publish(*messages)
        events = stream.take(2 * len(messages))
        assert [event.message for event in events] == messages * 2
        assert [event.id for event in events] == [f"{stream.run}-{first + at}" for at in range(2 * len(messages))]
        binary = {event.message for event in events if event.kind == "base64"}
        assert binary == {b"0\r\n\r\n", b"a\rb", b"\xff\xfe", b"\xc3"}


def test_who_comes_back_goes_on_exactly_behind_the_last_event(running: tuple[Relay, int]) -> None:
    relay_, port = running
    with Stream(port) as stream, Publisher(relay_, port) as publisher:
        first = publisher.published + 1
        publisher.count(10)
        publisher.count(1)
        assert positions(stream.take(11)) == list(range(first, first + 11))
        for last in range(first - 1, first + 11):
            with Stream(port, Last_Event_ID=f"{stream.run}-{last}") as again:
                publisher.count(1)
                following = list(range(last + 1, publisher.published + 1))
                assert positions(again.take(len(following))) == following


def test_who_was_away_too_long_is_told_how_many_are_lost_and_gets_all_that_there_are() -> None:
    with relay("--buffer", "1MiB") as (relay_, port), Publisher(relay_, port) as publisher:
        with Stream(port) as stream:
            publisher.count(3)
            last = stream.take(2)[1]
        for _ in range(30):
            publisher.count(50, size=2000)
        with Stream(port, Last_Event_ID=last.id) as again:
            [lost] = again.take(1)
            assert (lost.kind, lost.id) == ("lost", f"{stream.run}-{last.position + int(lost.data)}")
            there = publisher.published - last.position - int(lost.data)
            assert 0 < there * 2000 < MIB, "what the buffer can hold"
            assert there * 2000 > MIB // 2, "and not much less"
            publisher.count(2)
            first = publisher.published - 1 - there
            assert positions(again.take(there + 2)) == list(range(first, publisher.published + 1))


@pytest.mark.parametrize(
    "last", ["0123456789ab-5", "x", "-", "-1", "{run}-", "{run}-x", "{run}-1-1", "{run}--1", "{run}-99999", "\xff\xb2"]
)
def test_what_is_no_event_of_this_run_is_told_of_and_all_that_there_is_comes(
    running: tuple[Relay, int], last: str
) -> None:
    relay_, port = running
    with Stream(port) as other, Publisher(relay_, port) as publisher:
        publisher.count(2)
        with Stream(port, Last_Event_ID=last.format(run=other.run)) as stream:
            [restarted] = stream.take(1)
            run, _, before = restarted.id.partition("-")
            assert (restarted.kind, run) == ("restarted", stream.run)
            assert int(before) <= publisher.published - 2, "also what was published before it came"
            publisher.count(2)
            expected = list(range(int(before) + 1, publisher.published + 1))
            assert [event.position for event in stream.take(len(expected))] == expected


def test_a_replay_begins_with_the_last_messages(running: tuple[Relay, int]) -> None:
    relay_, port = running
    with Publisher(relay_, port) as publisher:
        publisher.count(5)
        with Stream(port, "/events?replay=2") as stream:
            publisher.count(1)
            newest = publisher.published
            assert positions(stream.take(3)) == [newest - 2, newest - 1, newest]
        for many in ("x", "-1", "", "9" * 19):
            assert ask(port, f"/events?replay={many}")[0] == 400


def test_who_may_not_have_it_is_told_why(running: tuple[Relay, int]) -> None:
    _, port = running
    status, headers, body = ask(port, "/events", "HEAD")
    assert (status, headers["Allow"], body) == (405, "GET", b"")
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port}0", "http://allowed.example"):
        assert ask(port, "/events", Origin=origin)[0] == 403, origin
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as old:
        old.sendall(b"GET /events HTTP/1.0\r\n\r\n")
        answer = http.client.HTTPResponse(old)
        answer.begin()
        assert (answer.status, b"HTTP/1.1" in answer.read()) == (505, True)


def test_pages_of_its_own_and_of_allowed_origins_may_have_it(running: tuple[Relay, int]) -> None:
    _, port = running
    for origin, allowed in ((f"http://127.0.0.1:{port}", None), ("https://allowed.example", "https://allowed.example")):
        with Stream(port, Origin=origin) as stream:
            assert stream.response.headers["Access-Control-Allow-Origin"] == allowed
            assert stream.response.headers["Vary"] == (allowed and "Origin")


@pytest.mark.parametrize(
    ("framing", "sent", "messages"),
    [("line", b"one\n\ntwo\r\n", [b"one", b"", b"two"]), ("raw", b"\0\0\0\1a\n", [b"\0\0\0\1a\n"])],
)
def test_what_frames_a_message_is_not_in_its_event(framing: str, sent: bytes, messages: list[bytes]) -> None:
    with (
        relay("--framing", framing) as (relay_, port),
        Stream(port) as stream,
        socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
    ):
        publisher.sendall(sent)
        assert [event.message for event in stream.take(len(messages))] == messages


def test_a_stop_ends_a_stream_properly_after_all_messages_even_of_one_that_lags() -> None:
    options = ("--send-buffer", "4KiB", "--drain-timeout", "20")
    with relay(*options) as (relay_, port), Publisher(relay_, port) as publisher:
        with Stream(port) as live, Stream(port, room=4096) as lagging:
            publisher.count(20, size=50_000)
            live_events = live.take(20)
            wait_for_metric(port, 'relay_subscribers{state="lagging"}', 1)
            relay_.log.process.terminate()
            everything = list(range(1, 21))
            assert positions(live_events + live.rest()) == everything
            assert positions(lagging.rest()) == everything
            assert live.parser.between and lagging.parser.between
        assert relay_.log.wait_for_end() == 0


def test_one_that_takes_nothing_is_stalled() -> None:
    with (
        relay("--send-buffer", "4KiB", "--stall-timeout", "1") as (relay_, port),
        Publisher(relay_, port) as publisher,
        Stream(port, room=4096),
    ):
        publisher.count(20, size=50_000)
        wait_for_metric(port, PRESENT, 0)
        [end] = [row for row in rows(port, "/connections?ended") if row["role"] == "subscriber"]
        assert (end["feed"], end["reason"], end["skipped"]) == ("events", "stalled", 0)


def test_one_that_falls_far_behind_the_others_loses_nothing_that_the_buffer_has() -> None:
    with (
        relay("--send-buffer", "4KiB", "--buffer", "16MiB") as (relay_, port),
        Publisher(relay_, port) as publisher,
        Stream(port, room=4096) as slow,
        Stream(port) as other,
    ):
        publisher.count(60, size=50_000)  # 3 MB, of which the log of a feed holds 0.5 MB
        assert positions(other.take(60)) == list(range(1, 61))
        assert positions(slow.take(60)) == list(range(1, 61))
        publisher.count(1)
        assert positions([*other.take(1), *slow.take(1)]) == [61, 61], "both go on"
