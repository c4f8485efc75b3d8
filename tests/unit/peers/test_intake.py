"""The publishers together: they wait and go on as one, and none leaves a message incomplete for long."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

from twisted.internet.error import ConnectionDone
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure

from relay.core.cursor import Lag
from relay.core.state import State
from relay.core.timing import SWEEP
from relay.peers.intake import AGAIN, BACKBONE, JOURNAL, STOP, SUBSCRIBERS, WORKERS
from relay.peers.publisher import PublisherFactory
from relay.wire.counted import Int32
from tests.kit.connections import PublisherCase
from tests.kit.fakes import accepted, frame, said


class FakeStream:
    """What brings the messages of other relays."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.then: Callable[[], object] = lambda: None
        """Called when it goes on."""

    def wait(self) -> None:
        self.calls.append("wait")

    def go_on(self) -> None:
        self.calls.append("go on")
        self.then()


class IntakeTests(PublisherCase):
    def test_all_publishers_wait_and_go_on_together(self) -> None:
        _, first = self.connect()
        gone, _ = self.connect()
        gone.connectionLost(Failure(ConnectionDone()))
        with capturedLogs() as events:
            self.intake.pause(Lag(12345, 678900, 1.25))
        _, late = self.connect()
        self.assertEqual((first.producerState, late.producerState), ("paused", "paused"))
        self.now = 3.0
        with capturedLogs() as more:
            self.intake.resume()
        self.assertEqual((first.producerState, late.producerState), ("producing", "producing"))
        self.assertEqual(
            said([*events, *more]),
            [
                (
                    LogLevel.warn,
                    "publishers wait: the slowest subscriber is 12,345 messages, 678,900 bytes, 1.2 s behind",
                ),
                (LogLevel.info, "publishers go on, after 3.0 s"),
            ],
        )
        _, later = self.connect()
        self.assertEqual(later.producerState, "producing")

    def test_two_reasons_to_wait_do_not_undo_each_other(self) -> None:
        publisher, _ = self.connect()
        for first, second in (
            (self.intake.resume, lambda: self.intake.release(JOURNAL)),
            (lambda: self.intake.release(JOURNAL), self.intake.resume),
        ):
            self.intake.hold(JOURNAL, "the disk is full")
            self.intake.pause(Lag(1, 1, 1.0))
            first()
            self.assertEqual((publisher.state, self.intake.paused), (State.HELD, True))
            second()
            self.assertEqual((publisher.state, self.intake.paused), (State.OPEN, False))

    def test_what_others_publish_waits_for_subscribers_and_workers_but_not_when_the_relay_stops(self) -> None:
        self.intake.stream = stream = FakeStream()
        self.intake.pause(Lag(1, 1, 1.0))
        self.intake.hold(WORKERS)
        self.intake.resume()
        self.assertEqual(stream.calls, ["wait"])
        self.intake.release(WORKERS)
        self.assertEqual(stream.calls, ["wait", "go on"])
        stream.calls.clear()
        self.intake.hold(BACKBONE)
        self.assertEqual(stream.calls, [], "what it waits for comes by the stream")
        self.intake.pause(Lag(1, 1, 1.0))
        self.intake.hold(STOP)
        self.assertEqual(stream.calls, ["wait", "go on"])
        self.intake.hold(WORKERS)
        self.assertEqual(stream.calls, ["wait", "go on", "wait"], "workers will be told to stop when all is in the log")

    def test_a_stream_that_brings_so_much_when_it_goes_on_that_it_has_to_wait_again_waits(self) -> None:
        self.intake.stream = stream = FakeStream()
        stream.then = lambda: self.intake.pause(Lag(1, 1, 1.0))
        self.intake.pause(Lag(1, 1, 1.0))
        self.intake.resume()
        self.assertEqual((stream.calls, self.intake.paused), (["wait", "go on", "wait"], True))
        stream.then = lambda: None
        self.intake.resume()
        self.assertEqual((stream.calls[3:], self.intake.paused), (["go on"], False))

    def test_what_has_the_same_name_in_different_places_is_waited_for_in_each(self) -> None:
        publisher, _ = self.connect()
        for place in (1, 2, 2):
            self.intake.hold(SUBSCRIBERS, where=place)
        self.assertEqual(self.intake.waits_for, (SUBSCRIBERS,))
        self.intake.release(SUBSCRIBERS, where=2)
        self.assertEqual((publisher.state, self.intake.waits_for), (State.HELD, (SUBSCRIBERS,)))
        self.intake.release(SUBSCRIBERS, where=1)
        self.assertEqual((publisher.state, self.intake.waits_for), (State.OPEN, ()))

    def test_the_journal_may_say_anew_why_they_wait(self) -> None:
        publisher, _ = self.connect()
        with capturedLogs() as events:
            self.intake.hold(JOURNAL, "the disk is slow")
            self.intake.hold(JOURNAL, "the disk is full")
        self.assertEqual(
            said(events),
            [
                (LogLevel.warn, "publishers wait: the disk is slow"),
                (LogLevel.warn, "publishers wait: the disk is full"),
            ],
        )
        self.now = 3.0
        self.intake.release(JOURNAL)
        self.intake.release(JOURNAL)
        self.assertEqual((publisher.state, self.intake.seconds_paused), (State.OPEN, 3.0))

    def test_what_happens_again_and_again_is_told_once_in_a_while_and_when_it_lasts(self) -> None:
        self.connect()
        with capturedLogs() as events:
            for _ in range(30):
                self.intake.hold(JOURNAL, "the disk is slow")
                self.intake.pause(Lag(1, 2, 3.0))
                self.intake.sweep(SWEEP)
                self.now += 0.1
                self.intake.release(JOURNAL)
                self.intake.resume()
        behind = "publishers wait: the slowest subscriber is 1 messages, 2 bytes, 3.0 s behind"
        slow = (LogLevel.warn, "publishers wait: the disk is slow")
        on = (LogLevel.info, "publishers go on, after 0.1 s")
        self.assertEqual(said(events), [slow, (LogLevel.warn, behind), on])
        with capturedLogs() as events:
            self.intake.hold(JOURNAL, "the disk is slow")
            self.now += SWEEP
            self.intake.sweep(SWEEP)
            self.intake.sweep(SWEEP)
            self.intake.release(JOURNAL)
        self.assertEqual(said(events), [slow, (LogLevel.info, "publishers go on, after 1.0 s")])
        self.now += AGAIN
        with capturedLogs() as events:
            self.intake.hold(JOURNAL, "the disk is slow")
            self.intake.release(JOURNAL)
        self.assertEqual(said(events), [slow, (LogLevel.info, "publishers go on, after 0.0 s")])

    def test_what_happens_in_each_flood_is_not_logged(self) -> None:
        publisher, _ = self.connect()
        with capturedLogs() as events:
            self.intake.hold(BACKBONE, "")
            self.assertEqual(publisher.state, State.HELD)
            self.intake.release(BACKBONE)
        self.assertEqual((publisher.state, events), (State.OPEN, []))

    def test_whoever_waits_is_held_and_then_open_again(self) -> None:
        publisher, _ = self.connect()
        self.intake.pause(Lag(1, 1, 1.0))
        late, _ = self.connect()
        self.assertEqual((publisher.state, late.state), (State.HELD, State.HELD))
        self.intake.resume()
        self.assertEqual((publisher.state, late.state), (State.OPEN, State.OPEN))

    def test_one_whose_end_has_begun_does_not_come_back_to_life_with_the_others(self) -> None:
        publisher, _ = self.connect()
        publisher.drain()
        self.intake.pause(Lag(1, 1, 1.0))
        self.assertIs(publisher.state, State.FINISHING)
        self.intake.resume()
        self.assertIs(publisher.state, State.FINISHING)

    def test_under_tls_nobody_waits_before_its_handshake_is_complete(self) -> None:
        self.intake.pause(Lag(1, 1, 1.0))
        publisher, transport = self.connect(tls=True)
        self.assertEqual((publisher.state, transport.producerState), (State.HANDSHAKE, "producing"))
        publisher.handshakeCompleted()
        self.assertEqual((publisher.state, transport.producerState), (State.HELD, "paused"))

    def test_one_publisher_is_alone_and_none_or_two_are_not(self) -> None:
        self.assertFalse(self.intake.alone)
        first, _ = self.connect()
        self.assertTrue(self.intake.alone)
        second, _ = self.connect()
        self.assertFalse(self.intake.alone)
        first.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.intake.alone)
        second.connectionLost(Failure(ConnectionDone()))
        self.assertFalse(self.intake.alone)

    def test_one_that_was_never_there_can_go(self) -> None:
        self.connect()
        never = self.factory.buildProtocol(None)
        self.intake.remove(never)
        self.assertTrue(self.intake.alone)

    def test_seconds_are_counted_while_publishers_wait_and_no_others(self) -> None:
        waited = 0.0
        for free, held in ((5.0, 2.0), (0.0, 0.25), (100.0, 3.0)):
            self.now += free
            self.assertEqual((self.intake.paused, self.intake.seconds_paused), (False, waited))
            self.intake.pause(Lag(1, 1, 1.0))
            self.now += held
            waited += held
            self.assertEqual((self.intake.paused, self.intake.seconds_paused), (True, waited))
            self.intake.resume()
        self.now += 1000.0
        self.assertEqual(self.intake.seconds_paused, waited)

    def test_it_is_swept_every_second(self) -> None:
        asked = []
        self.intake.register(lambda seconds, call: asked.append((seconds, call)))
        self.assertEqual(asked, [(SWEEP, self.intake.sweep)])


class FrameTimeoutTests(PublisherCase):
    """30 seconds, the default."""

    def sweep(self, times: int) -> None:
        for _ in range(times):
            self.intake.sweep(1.0)

    def test_a_message_that_is_not_completed_in_time_ends_its_publisher(self) -> None:
        publisher, transport = self.connect()
        self.sweep(100)
        publisher.dataReceived(frame(b"whole") + b"\0\0\0\7abc")
        with capturedLogs() as events:
            self.sweep(30)
            self.assertFalse(transport.disconnected)
            self.sweep(2)
            self.assertTrue(transport.disconnected)
            publisher.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            said(events),
            [
                (
                    LogLevel.warn,
                    "publisher 192.0.2.1:40001 disconnected: frame timeout, 1 messages, 9 bytes, 7 bytes of an "
                    "incomplete message dropped; it began a message and did not complete it in 30 s",
                )
            ],
        )

    def test_part_of_another_message_begins_anew(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        for _ in range(10):
            self.sweep(20)
            publisher.dataReceived(frame(b"one")[3:] + frame(b"one")[:3])
        self.assertFalse(transport.disconnected)

    def test_a_large_message_on_a_slow_link_may_take_its_time(self) -> None:
        self.factory = PublisherFactory(accepted("publisher"), self.hub, self.intake, lambda: Int32(10**6))
        for rate, cut in ((120, False), (71, False), (65, True)):
            publisher, transport = self.connect()
            publisher.dataReceived(pack("!I", 10**6))
            for _ in range(600):
                publisher.dataReceived(bytes(rate))
                self.sweep(1)
            self.assertIs(transport.disconnected, cut, rate)

    def test_bytes_alone_are_no_excuse(self) -> None:
        publisher, transport = self.connect()
        for byte in frame(b"x" * 36)[:-1]:
            publisher.dataReceived(bytes([byte]))
            self.sweep(1)
        self.assertTrue(transport.disconnected)

    def test_what_comes_after_the_end_is_not_published(self) -> None:
        publisher, _ = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(32)
        publisher.dataReceived(frame(b"one")[3:])
        self.turns.run()
        self.assertEqual(self.log.next, 1)

    def test_time_in_which_the_relay_did_not_read_does_not_count(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(20)
        self.intake.pause(Lag(1, 1, 1.0))
        self.sweep(1000)
        self.intake.resume()
        self.sweep(5)
        self.assertFalse(transport.disconnected)
        self.sweep(10)
        self.assertTrue(transport.disconnected)

    def test_zero_is_never(self) -> None:
        publisher, transport = self.connect()
        self.intake.frame_timeout = 0
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(1000)
        self.assertFalse(transport.disconnected)

    def test_the_sweep_that_sees_it_first_charges_nothing(self) -> None:
        """A message may have begun a moment before: it has all of the seconds, and at most one sweep more."""
        publisher, transport = self.connect()
        self.intake.frame_timeout = 3.0
        publisher.dataReceived(frame(b"one")[:3])
        self.sweep(3)
        self.assertFalse(transport.disconnected)
        self.sweep(1)
        self.assertTrue(transport.disconnected)

    def test_what_a_sweep_charges_is_what_it_is_told_has_passed(self) -> None:
        publisher, transport = self.connect()
        publisher.dataReceived(frame(b"one")[:3])
        self.intake.sweep(1.0)
        for _ in range(119):
            self.intake.sweep(0.25)
        self.assertFalse(transport.disconnected)
        self.intake.sweep(0.25)
        self.assertTrue(transport.disconnected)
