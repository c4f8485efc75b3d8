"""The dialogue of server-sent events: a response that h11 takes apart, and events by the rules of the standard."""

from __future__ import annotations

from itertools import pairwise

from h11 import CLIENT, Connection, Data, EndOfMessage, Request, Response
from twisted.trial.unittest import SynchronousTestCase

from relay.core.start import NEXT, Start
from relay.web.event_dialogue import EventDialogue, stream_head
from relay.web.request import ALWAYS
from relay.wire.close_reason import CloseReason
from relay.wire.events import chunk
from tests.kit.events import Event, Parser, unchunked

EPOCH = "0123456789ab"
HEAD = b"the head "


def answered(stream: bytes) -> tuple[Response, bytes, bool]:
    """The response to a request, its content, and whether it has come to its end."""
    client = Connection(CLIENT)
    client.send(Request(method="GET", target="/events", headers=[("Host", "relay.example")]))
    client.send(EndOfMessage())
    client.receive_data(stream)
    head = client.next_event()
    assert isinstance(head, Response), head
    data = b""
    while isinstance(event := client.next_event(), Data):
        data += event.data
    return head, data, isinstance(event, EndOfMessage)


class HeadTests(SynchronousTestCase):
    def test_it_is_the_head_of_a_stream_of_events_that_does_not_end(self) -> None:
        head, data, over = answered(stream_head() + chunk(b": a comment\n\n"))
        self.assertEqual((head.status_code, data, over), (200, b": a comment\n\n", False))
        headers = dict(head.headers)
        self.assertTrue(headers[b"content-type"].startswith(b"text/event-stream"))
        self.assertEqual(headers[b"transfer-encoding"], b"chunked")
        self.assertEqual(headers[b"connection"], b"close")
        self.assertEqual(headers[b"x-accel-buffering"], b"no")

    def test_it_has_what_every_response_has_and_additional_headers(self) -> None:
        headers = set(answered(stream_head((("Vary", "Origin"), ("A", "b"))))[0].headers.raw_items())
        expected = {(name.encode(), value.encode()) for name, value in (*ALWAYS, ("Vary", "Origin"), ("A", "b"))}
        self.assertLessEqual(expected, headers)


class EventDialogueTests(SynchronousTestCase):
    def greeting(self, wanted: int | None, missed: bool | None, first: int) -> tuple[list[Event], Parser]:
        """The events before the first message, and the parser that found them. `missed`: None for another epoch."""
        start = Start(wanted, resumes=missed is not False, known=missed is not None)
        sent = EventDialogue(HEAD, EPOCH, start).greeting(first)
        self.assertTrue(sent.startswith(HEAD))
        parser = Parser()
        found = parser.feed(unchunked(sent.removeprefix(HEAD)))
        self.assertTrue(parser.between)
        return found, parser

    def test_a_browser_learns_where_it_is_and_when_to_come_back(self) -> None:
        for wanted, missed, first in ((None, False, 1), (None, False, 18), (5, True, 5), (5, True, 9), (None, None, 1)):
            _, parser = self.greeting(wanted, missed, first)
            self.assertEqual((parser.retry, parser._id), (1000, f"{EPOCH}-{first - 1}"))

    def test_who_missed_nothing_is_told_nothing_more(self) -> None:
        for wanted, missed, first in (
            (None, False, 1),
            (None, False, 18),
            (5, True, 5),
            (5, False, 9),
            (None, True, 9),
        ):
            self.assertEqual(self.greeting(wanted, missed, first)[0], [], (wanted, missed, first))

    def test_who_comes_back_too_late_is_told_how_many_messages_are_lost(self) -> None:
        found, _ = self.greeting(5, True, 9)
        self.assertEqual(found, [Event("lost", "4", f"{EPOCH}-8")])  # 5, 6, 7 and 8

    def test_after_a_restart_nobody_knows_how_many(self) -> None:
        for wanted in (None, 5):
            [event], _ = self.greeting(wanted, None, 9)
            self.assertEqual((event.kind, event.id), ("restarted", f"{EPOCH}-8"))
            self.assertIn("restarted", event.data)

    def test_the_farewell_ends_the_response_properly(self) -> None:
        dialogue = EventDialogue(stream_head(), EPOCH, NEXT)
        farewells = {dialogue.farewell(reason) for reason in CloseReason}
        self.assertEqual(len(farewells), 1)
        whole = dialogue.greeting(1) + farewells.pop()
        self.assertEqual([over for _, _, over in map(answered, (dialogue.greeting(1), whole))], [False, True])

    def test_the_greeting_may_come_in_any_pieces(self) -> None:
        sent = EventDialogue(stream_head(), EPOCH, Start(5, resumes=True)).greeting(9)
        client = Connection(CLIENT)
        client.send(Request(method="GET", target="/", headers=[("Host", "relay.example")]))
        data = b""
        for start, stop in pairwise(range(len(sent) + 1)):
            client.receive_data(sent[start:stop])
            while isinstance(event := client.next_event(), Response | Data):
                data += event.data if isinstance(event, Data) else b""
        self.assertEqual(Parser().feed(data), [Event("lost", "4", f"{EPOCH}-8")])
