"""Pulls: what another relay or server sends is published, and with a session nothing is lost or comes twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from struct import pack

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs

from relay.core.cursor import NO_LAG
from relay.core.state import State
from relay.reach.link import HEARTBEAT, LOOK
from relay.reach.places import Place, Places, Traveller
from relay.reach.pull import Pull
from relay.wire.answer import Bye, Error, Gap, Heartbeat, Via
from relay.wire.close_reason import CloseReason
from relay.wire.position import Position
from tests.kit.fakes import frame, said
from tests.kit.remotes import FAR, SESSION, SILENT, RemoteCase, welcome
from tests.kit.sessions import parts


class SilentTests(RemoteCase):
    def test_what_comes_is_published_in_whole_messages(self) -> None:
        pull = self.pull(SILENT)
        self.wire.send(frame(b"one") + frame(b"two")[:5])
        self.assertEqual(self.published(), [b"one"])
        self.wire.send(frame(b"two")[5:])
        self.assertEqual(self.published(), [b"one", b"two"])
        self.assertEqual(self.wire.value(), b"")
        figures = pull.figures()
        self.assertEqual((figures.role, figures.remote, figures.connected), ("pull", "tcp:far:8002", True))
        self.assertEqual((figures.connections, figures.exchanged.messages, figures.lost), (1, 2, 0))

    def test_it_connects_again_and_an_incomplete_message_is_dropped(self) -> None:
        pull = self.pull(SILENT)
        self.wire.send(frame(b"one") + frame(b"two")[:5])
        self.wire.end(ConnectionDone())
        self.assertFalse(pull.figures().connected)
        self.clock.advance(1)
        self.wire.send(frame(b"three"))
        self.assertEqual(self.published(), [b"one", b"three"])
        self.assertEqual((len(self.server.wires), pull.figures().exchanged.messages), (2, 2))
        self.assertEqual(self.intake.incomplete, 1)

    def test_it_waits_when_publishers_wait(self) -> None:
        self.pull(SILENT)
        self.intake.pause(NO_LAG)
        self.assertEqual(self.wire.producerState, "paused")
        self.intake.resume()
        self.assertEqual(self.wire.producerState, "producing")

    def test_its_beginning_and_its_end_are_one_line_each(self) -> None:
        with capturedLogs() as events:
            self.pull(SILENT)
            self.wire.send(frame(b"one"))
            self.wire.end(ConnectionDone())
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "pull 192.168.1.1:54321 'tcp:far:8002' connected"),
                (
                    LogLevel.info,
                    "pull 192.168.1.1:54321 'tcp:far:8002' disconnected: peer closed, 1 messages, 7 bytes",
                ),
            ],
        )
        self.assertEqual(self.registry.ended, {CloseReason.PEER_CLOSED: 1})

    def test_what_is_no_stream_of_messages_is_told_in_words(self) -> None:
        for sent, reason, words in (
            (b"HTTP/1.1 400 Bad Request\r\n", CloseReason.MESSAGE_TOO_LONG, "it looks like an HTTP server"),
            (b"\x15\x03\x01\x00\x02\x02\x28", CloseReason.MESSAGE_TOO_LONG, "it looks like a server that speaks TLS"),
            (b"$GPGGA,1\n", CloseReason.MESSAGE_TOO_LONG, "text needs --framing line"),
            (pack("!I", 41), CloseReason.MESSAGE_TOO_LONG, "it sends a message of 41 bytes, more than the limit"),
        ):
            pull = self.pull(SILENT)
            with capturedLogs() as events:
                self.wire.send(sent)
                self.clock.advance(0)
            self.assertIn(words, str(said(events)[-1][1]))
            self.assertGreater(self.registry.ended[reason], 0)
            self.assertEqual(self.published(), [])
            pull.stop()

    def test_a_source_may_be_silent_for_as_long_as_it_likes(self) -> None:
        with capturedLogs() as events:
            self.pull(SILENT)
            self.later(100)
        self.assertEqual(len(events), 1)
        self.assertEqual(len(self.server.wires), 1)

    def test_one_that_leads_to_this_relay_is_ended(self) -> None:
        self.pull(SILENT)
        own, _ = self.connect()
        own.link.peerAddr = IPv4Address("TCP", "10.0.0.1", 12345)  # type: ignore[attr-defined]
        self.wire.hostAddr = IPv4Address("TCP", "10.0.0.1", 12345)
        self.subscribers.open[own] = None
        with capturedLogs() as events:
            self.clock.advance(LOOK)
            self.clock.advance(0)
        self.assertEqual(self.registry.ended, {CloseReason.LOOP: 1})
        self.assertIn("loop, 0 messages, 0 bytes; it leads to this relay itself", str(said(events)[0][1]))


class LatePlaces(Places):
    """Places that are known when the test says so."""

    left = 0

    def resume(self, traveller: Traveller, then: Callable[[Place | None], None]) -> None:
        self.then = then

    def leave(self, place: Place) -> None:
        self.left += 1


class LoopTests(RemoteCase):
    """What `relay.reach.echo` finds, and what becomes of the connection then."""

    def go_round(self, seconds: float) -> int:
        """All that is published comes again, after a while. Returns the number of messages that were published."""
        done = 0
        for _ in range(int(seconds * 100)):
            self.published()
            data = bytes(self.reader.received)
            if len(data) > done and not self.wire.disconnecting and not self.wire.ended:
                self.wire.send(data[done:])
                done = len(data)
            self.clock.advance(0.01)
        return len(self.published())

    def hold(self) -> None:
        for _ in range(4):
            self.wire.send(frame(b"the same"))

    def test_what_comes_back_ends_it_with_a_line_and_it_stays_away(self) -> None:
        pull = self.pull(SILENT)
        self.wire.send(frame(b"one"))
        with capturedLogs() as events:
            self.assertLess(self.go_round(12), 12)
        [line] = [str(line) for _, line in said(events)]
        self.assertIn("disconnected: loop", line)
        self.assertIn("this is a loop: messages come back to the relay that they come from", line)
        self.assertEqual(self.registry.ended, {CloseReason.LOOP: 1})
        self.clock.advance(290)
        self.assertEqual((pull.connections, len(self.server.wires)), (1, 1))
        self.clock.advance(20)
        self.assertEqual(pull.connections, 2)

    def test_a_line_that_a_source_repeats_is_kept_for_a_moment_and_published(self) -> None:
        self.pull(SILENT)
        self.hold()
        self.assertEqual(self.published(), [b"the same"] * 3)
        for number in range(30):
            self.wire.send(frame(b"%d" % number) + frame(b"the same"))
            self.clock.advance(0.01)
        self.assertEqual(len(self.published()), 64)
        self.assertEqual(self.registry.ended, {})

    def test_what_is_kept_is_published_when_it_ends(self) -> None:
        self.pull(SILENT)
        self.hold()
        self.wire.end(ConnectionDone())
        self.assertEqual(self.published(), [b"the same"] * 4)

    def test_what_is_kept_is_published_when_it_is_removed(self) -> None:
        pull = self.pull(SILENT)
        self.hold()
        pull.remove()
        self.assertEqual(self.published(), [b"the same"] * 4)

    def test_nothing_is_kept_while_publishers_wait(self) -> None:
        self.pull(SILENT)
        self.hold()
        self.intake.pause(NO_LAG)
        self.assertEqual(self.published(), [b"the same"] * 4)

    def test_no_more_is_kept_than_one_turn_may_bring(self) -> None:
        self.pull(SILENT)
        self.hold()
        self.wire.send(frame(bytes(36)) * 4_000)
        self.assertEqual(len(self.published()), 3)
        self.clock.advance(0.01)
        self.assertEqual(len(self.published()), 4_004)


class SessionTests(RemoteCase):
    def hello(self) -> object:
        """What was said on the newest connection."""
        [said] = parts(self.wire.value())
        assert isinstance(said, dict)
        self.assertEqual(said.pop("via"), [self.sessions.origins.own])
        return said

    def begin(self, following: int = 18) -> None:
        self.wire.say(welcome(following))

    def test_it_says_hello_and_publishes_what_follows_the_welcome(self) -> None:
        pull = self.pull()
        self.assertEqual(self.hello(), {"relay": 1, "type": "subscribe", "heartbeat": HEARTBEAT})
        self.wire.say(b"before", welcome(18), b"one", b"", Heartbeat(next=Position(FAR, 20)), b"three")
        self.assertEqual(self.published(), [b"one", b"", b"three"])
        self.assertEqual(pull.figures().exchanged.messages, 3)

    def test_it_goes_on_behind_the_last_message(self) -> None:
        self.pull()
        self.wire.say(welcome(18), b"one", b"two")
        self.wire.end(ConnectionDone())
        self.clock.advance(1)
        self.assertEqual(self.hello(), {"relay": 1, "type": "subscribe", "after": f"{FAR}-19", "heartbeat": HEARTBEAT})
        self.wire.say(welcome(20), b"three")
        self.assertEqual(self.published(), [b"one", b"two", b"three"])

    def test_the_place_is_written_with_the_messages(self) -> None:
        pull = self.pull()
        self.wire.say(welcome(18), b"one", b"two")
        self.wire.say(b"three")
        key = ("pull", f"{FAR} session:tcp:far:8002")
        self.assertEqual(self.noted, [(key, 19), (key, 20)])
        pull.remove()
        self.clock.advance(0)
        self.pull()
        self.assertEqual(self.hello(), {"relay": 1, "type": "subscribe", "after": f"{FAR}-20", "heartbeat": HEARTBEAT})

    def test_another_epoch_is_another_place_and_what_is_missing_is_told(self) -> None:
        pull = self.pull()
        self.wire.say(welcome(18), b"one")
        self.wire.end(ConnectionDone())
        self.clock.advance(1)
        with capturedLogs() as events:
            self.wire.say(welcome(1, None, "ffff"), b"new")
        self.assertEqual(self.noted[-1], (("pull", "ffff session:tcp:far:8002"), 1))
        self.assertIn("an unknown number of messages lost before ffff-1", str(said(events)[0][1]))
        self.assertEqual((self.published(), pull.figures().lost), ([b"one", b"new"], 0))

    def test_a_gap_is_told_and_counted(self) -> None:
        pull = self.pull()
        with capturedLogs() as events:
            self.wire.say(welcome(18), b"one", Gap(5, Position(FAR, 24)), b"two")
        self.assertIn(f"pull session:tcp:far:8002: 5 messages lost before {FAR}-24", [line for _, line in said(events)])
        self.assertEqual((pull.figures().lost, [number for _, number in self.noted]), (5, [18, 24]))
        self.assertEqual(self.published(), [b"one", b"two"])

    def test_a_count_that_differs_ends_the_connection_and_goes_back_to_what_was_sure(self) -> None:
        self.pull()
        self.wire.say(welcome(18), b"one", Heartbeat(next=Position(FAR, 20)))
        self.clock.advance(0)
        self.assertEqual(self.registry.ended, {CloseReason.CONNECTION_LOST: 1})
        self.clock.advance(1)
        self.assertEqual(self.hello(), {"relay": 1, "type": "subscribe", "after": f"{FAR}-17", "heartbeat": HEARTBEAT})

    def test_a_relay_that_is_silent_is_given_up_but_not_while_publishers_wait(self) -> None:
        self.pull()
        self.begin()
        self.intake.pause(NO_LAG)
        self.later(100)
        self.intake.resume()
        self.later(1)
        self.assertEqual(len(self.server.wires), 1)
        self.later(31)
        self.assertGreater(len(self.server.wires), 1)
        self.assertEqual(set(self.registry.ended), {CloseReason.CONNECTION_LOST})

    def test_a_relay_that_stops_says_when_to_come_back(self) -> None:
        self.pull()
        self.wire.say(welcome(18), Bye("shutdown", Position(FAR, 18), retry=1.0))
        self.clock.advance(0)
        self.clock.advance(0.9)
        self.assertEqual(self.registry.ended, {CloseReason.PEER_CLOSED: 1})
        self.assertEqual(len(self.server.wires), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.server.wires), 2)

    def test_what_has_no_sessions_is_told_in_words(self) -> None:
        for answer, words in (
            ([Error("this relay has the framing line: sessions need int32 (--framing)")], "the framing line"),
            ([Error("this port is for publishers: subscribers connect to tcp:8002")], "this port is for publishers"),
        ):
            pull = self.pull()
            with capturedLogs() as events:
                self.wire.say(*answer)
                self.clock.advance(0)
            self.assertIn(words, str(said(events)[-1][1]))
            pull.stop()
        self.assertEqual(self.registry.ended, {CloseReason.SESSION_ERROR: 2})

    def test_an_old_relay_that_sends_messages_and_answers_no_hello_is_told(self) -> None:
        self.pull()
        self.wire.say(b"message")
        with capturedLogs() as events:
            self.later(7)
        self.assertIn("it is a relay older than sessions", str(said(events)[-1][1]))
        self.assertEqual(self.published(), [])

    def test_longer_messages_there_are_warned_of_and_end_the_connection(self) -> None:
        self.pull()
        with capturedLogs() as events:
            self.wire.say(welcome(18, max_message=50))
            self.wire.send(frame(b"one") + pack("!I", 41))
            self.clock.advance(0)
        lines = [line for _, line in said(events)]
        self.assertIn("messages may have 50 bytes there and 40 here", str(lines[1]))
        self.assertIn("--max-message must be at least 41 here too", str(lines[-1]))
        self.assertEqual(self.published(), [b"one"])

    def test_its_end_by_a_drain_is_that_of_every_publisher(self) -> None:
        pull = self.pull()
        self.begin()
        link = pull.link
        assert link is not None
        pull.stop()
        link.drain()
        self.assertIs(link.state, State.FINISHING)
        self.clock.advance(100)
        self.assertEqual((self.registry.ended, len(self.server.wires)), ({CloseReason.SHUTDOWN: 1}, 1))

    def test_one_that_is_not_wanted_any_more_is_ended(self) -> None:
        pull = self.pull(SESSION)
        self.begin()
        pull.remove()
        self.clock.advance(100)
        self.assertEqual((self.registry.ended, len(self.server.wires)), ({CloseReason.REMOVED: 1}, 1))

    def test_one_that_another_relay_has_taken_over_ends(self) -> None:
        pull = self.pull()
        self.begin()
        with capturedLogs() as events:
            pull.replaced()
            self.clock.advance(100)
        self.assertIn("another relay of the backbone has taken it over", str(said(events)[0][1]))
        self.assertEqual((self.registry.ended, len(self.server.wires)), ({CloseReason.REPLACED: 1}, 1))

    def test_one_that_is_stopped_before_its_place_is_known_does_not_connect(self) -> None:
        places = LatePlaces(self.sessions.names, self.note)
        for ends in (Pull.stop, Pull.remove):
            pull = Pull(SESSION, replace(self.around, places=places))
            pull.start()
            ends(pull)
            places.then(places.stand("pull", SESSION, Position(FAR, 5)))
        self.assertEqual((self.server.wires, places.left), ([], 2))

    def test_a_relay_that_has_our_messages_is_a_loop_and_ends(self) -> None:
        own = self.sessions.origins.own
        self.pull()
        with capturedLogs() as events:
            self.wire.say(replace(welcome(18), via=("aaa", own)), b"one")
            self.clock.advance(0)
        self.assertEqual(self.registry.ended, {CloseReason.LOOP: 1})
        self.assertIn("this would be a loop", str(said(events)[-1][1]))

    def test_whose_messages_come_is_known_as_long_as_they_do_and_as_it_changes(self) -> None:
        origins = self.sessions.origins
        self.pull()
        self.wire.say(replace(welcome(18), via=("aaa",)))
        self.assertEqual(origins.all, (origins.own, "aaa"))
        self.wire.say(Via(("aaa", "bbb")))
        self.assertEqual(origins.all, (origins.own, "aaa", "bbb"))
        self.wire.say(Via((origins.own,)))
        self.clock.advance(0)
        self.assertEqual(origins.all, (origins.own,))
        self.assertEqual(self.registry.ended, {CloseReason.LOOP: 1})
