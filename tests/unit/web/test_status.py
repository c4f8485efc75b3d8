"""What the status page is told: right values, and a tail that costs the same whatever the traffic."""

from __future__ import annotations

import json
from array import array
from datetime import datetime

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay import __version__
from relay.core.cursor import Tally
from relay.core.log import Log
from relay.core.slow import SLOW_POLICIES
from relay.observe.roster import ENDED, SLOWEST
from relay.peers.ended_connection import EndedConnection
from relay.web.status import SCANNED, SHOWN, TAIL, Status, ended_json, tail
from relay.wire.close_reason import CloseReason
from relay.wire.counted import Int32
from relay.wire.delimited import Line
from relay.wire.framing import Buffer, Framing
from relay.wire.raw import Raw
from tests.kit.backbones import Member
from tests.kit.fakes import FakeJournal, frame
from tests.kit.relays import FRAME, START, RelayCase

STARTED = "2001-09-09T01:46:40.000+00:00"  # `date --utc --date @1000000000`


class StatusTests(RelayCase):
    feeds = ("tcp", "ws")

    def begin(self, replay: int = 0) -> None:
        super().begin(replay)
        self.unready = ""
        self.settings: dict[str, object] = {"slow": "disconnect", "stall-timeout": 60.0}
        self.status = Status(
            self.stats,
            self.hub.log,
            Int32,
            lambda: self.settings,
            lambda: self.unready,
            lambda: "k3f9x2",
            lambda: self.time,
        )

    def test_a_relay_that_nobody_knows_has_nothing_but_its_limits(self) -> None:
        self.time += 5.5
        now = self.status.now()
        self.assertEqual(
            now,
            {
                "epoch": "k3f9x2",
                "version": __version__,
                "time": START + 5.5,
                "started": START,
                "unready": "",
                "published": {"messages": 0, "bytes": 0, "discarded": 0},
                "delivered": {"messages": 0, "bytes": 0, "skipped": 0},
                "connections": {"publisher": {"tcp": 0}, "subscriber": {"tcp": 0, "ws": 0}},
                "most_connections": 10_000,
                "live": 0,
                "lagging": 0,
                "buffer": {"used": 0, "needed": 0, "limit": 2**20, "oldest": 1, "next": 1},
                "journal": None,
                "backbone": None,
                "furthest": {"messages": 0, "bytes": 0, "seconds": 0.0},
                "sessions": {
                    "open": {"publisher": 0, "subscriber": 0},
                    "resumed": {"complete": 0, "incomplete": 0, "unknown": 0},
                    "lost": 0,
                    "acks": 0,
                    "names": 0,
                },
                "reach": [],
                "workers": [],
                "replaced": 0,
                "blocked": False,
                "blocked_by": [],
                "blocked_seconds": 0.0,
                "closed": {"publisher": {}, "subscriber": {}},
                "settings": {"slow": "disconnect", "stall-timeout": 60.0},
                "slowest": [],
                "ended": [],
                "tail": [],
            },
        )
        self.assertEqual(json.loads(json.dumps(now)), now)

    def test_the_journal_is_told_of_if_there_is_one(self) -> None:
        self.journal = FakeJournal()
        self.begin()
        self.assertEqual(
            self.status.now()["journal"],
            {
                "used": 0,
                "limit": 100,
                "free": 1000,
                "oldest": 1,
                "oldest_time": 0.0,
                "unsynced": 0,
                "readers": 0,
                "trouble": None,
                "held_seconds": 0.0,
            },
        )

    def test_the_backbone_is_told_of_if_there_is_one(self) -> None:
        self.begin()
        self.assertIsNone(self.status.now()["backbone"])
        self.backbone = Member().order
        self.begin()
        self.assertEqual(
            self.status.now()["backbone"],
            {
                "behind": 0,
                "sequence": 0,
                "window": 1,
                "window_bytes": 28,
                "waiting": 0,
                "round_trips": 0,
                "round_trip_seconds": 0.0,
                "names": 0,
                "trouble": "connecting to the backbone",
                "held": True,
                "held_seconds": 0.0,
            },
        )

    def test_what_changes_is_told_as_it_is_now(self) -> None:
        self.unready = "draining"
        self.settings = {"slow": "block"}
        publisher = self.publisher()
        self.subscriber()
        self.subscriber("ws")
        self.subscriber("ws")
        self.publish(publisher, 5)
        now = self.status.now()
        self.assertEqual((now["unready"], now["settings"]), ("draining", {"slow": "block"}))
        self.assertEqual(now["connections"], {"publisher": {"tcp": 1}, "subscriber": {"tcp": 1, "ws": 2}})
        self.assertEqual(now["published"], {"messages": 5, "bytes": 5 * FRAME, "discarded": 0})
        self.assertEqual(now["delivered"], {"messages": 15, "bytes": 15 * FRAME, "skipped": 0})
        self.assertEqual((now["live"], now["lagging"]), (3, 0))

    def test_the_slowest_come_first_with_their_lag_and_what_keeps_them(self) -> None:
        publisher = self.publisher()
        slow, transport = self.subscriber()
        transport.full = True
        self.publish(publisher, 1)
        self.publish(publisher, 1)
        _, other = self.subscriber("ws")
        other.full = True
        self.publish(publisher, 1)
        self.now = 4.0
        self.publish(publisher, 1)
        self.now = 10.0
        now = self.status.now()
        lag = {"messages": 3, "bytes": 3 * FRAME, "seconds": 10.0}
        rows = now["slowest"]
        assert isinstance(rows, list)
        self.assertEqual(
            rows[0],
            {
                "number": slow.number,
                "role": "subscriber",
                "feed": "tcp",
                "peer": "192.0.2.1:40001",
                "since": STARTED,
                "messages": 1,
                "bytes": FRAME,
                "skipped": 0,
                "name": None,
                "session": False,
                "tls_subject": None,
                "state": "lagging",
                "lag": lag,
                "why": "takes less than it is sent",
            },
        )
        self.assertEqual([(row["feed"], row["lag"]["bytes"]) for row in rows], [("tcp", 3 * FRAME), ("ws", FRAME)])
        self.assertEqual(now["furthest"], lag)

    def test_of_who_takes_nothing_it_is_said_for_how_long_and_when_it_is_cut(self) -> None:
        publisher = self.publisher()
        _, transport = self.subscriber()
        transport.full = True
        self.publish(publisher, 1)
        self.publish(publisher, 1)
        for timeout, why in ((60.0, "takes nothing for 8 s, is cut after 60 s"), (0.0, "takes nothing for 17 s")):
            self.hub.change(SLOW_POLICIES["disconnect"], timeout)
            for _ in range(9):  # the first finds that it has just taken something
                self.hub.sweep(1.0)
            rows = self.status.now()["slowest"]
            assert isinstance(rows, list)
            self.assertEqual([row["why"] for row in rows], [why])

    def test_of_who_is_slow_it_is_said_how_fast_it_takes_and_how_long_that_lasts(self) -> None:
        publisher = self.publisher()
        _, transport = self.subscriber()
        transport.full = True
        self.publish(publisher, 1)
        said = []
        for _ in range(4):
            rows = self.status.now()["slowest"]
            assert isinstance(rows, list)
            said += [row["why"] for row in rows]
            self.publish(publisher, 10)
            self.now += 1.0
        room = (2**20 - 30 * FRAME) / (10 * FRAME)
        slow = f"takes 0.0 kB/s, less than it is sent: too far behind in about {room / 60:.0f} min"
        self.assertEqual(said, ["takes less than it is sent"] * 3 + [slow])

    def test_who_takes_what_it_is_given_is_catching_up(self) -> None:
        self.begin(replay=2)
        self.publish(self.publisher(), 2)
        self.subscriber()
        rows = self.status.now()["slowest"]
        assert isinstance(rows, list)
        self.assertEqual([(row["lag"]["messages"], row["why"]) for row in rows], [(2, "catching up")])
        self.turns.run_all()
        self.assertEqual(self.status.now()["slowest"], [])

    def test_of_those_who_lag_no_more_are_told_than_there_is_room_for(self) -> None:
        publisher = self.publisher()
        numbers = []
        for _ in range(SLOWEST + 5):
            one, transport = self.subscriber()
            transport.full = True
            self.publish(publisher, 1)
            self.publish(publisher, 1)
            numbers.append(one.number)
        now = self.status.now()
        rows = now["slowest"]
        assert isinstance(rows, list)
        self.assertEqual(now["lagging"], SLOWEST + 5)
        self.assertEqual([row["number"] for row in rows], numbers[:SLOWEST])

    def test_the_last_that_ended_are_told_and_all_are_counted(self) -> None:
        stays = self.publisher()
        for second in range(ENDED + 5):
            self.time = START + second
            self.publisher().connectionLost(Failure(ConnectionDone()))
        self.subscriber("ws")[0].connectionLost(Failure(ConnectionLost()))
        self.subscriber()[0].connectionLost(Failure(ConnectionLost()))
        now = self.status.now()
        self.assertEqual(
            now["closed"],
            {
                "publisher": {CloseReason.PEER_CLOSED: ENDED + 5},
                "subscriber": {CloseReason.CONNECTION_LOST: 2},
            },
        )
        ended = now["ended"]
        assert isinstance(ended, list)
        self.assertEqual(len(ended), ENDED)
        self.assertEqual({row["feed"] for row in ended[:2]}, {"ws", "tcp"})
        self.assertEqual(ended, sorted(ended, key=lambda row: datetime.fromisoformat(row["until"]), reverse=True))
        self.assertNotIn(stays.number, [row["number"] for row in ended])

    def test_an_end_is_told_in_plain_words(self) -> None:
        one = EndedConnection(
            7,
            "subscriber",
            "ws",
            "[::1]:5",
            START,
            START + 1.5,
            CloseReason.STALLED,
            Tally(1, 2, 3),
            "map",
            True,
            "CN=a",
        )
        self.assertEqual(
            ended_json(one),
            {
                "number": 7,
                "role": "subscriber",
                "feed": "ws",
                "peer": "[::1]:5",
                "since": STARTED,
                "until": "2001-09-09T01:46:41.500+00:00",
                "messages": 1,
                "bytes": 2,
                "skipped": 3,
                "name": "map",
                "session": True,
                "tls_subject": "CN=a",
                "reason": "stalled",
            },
        )

    def test_publishers_that_wait_are_told_of(self) -> None:
        slow, transport = self.subscriber()
        publisher = self.publisher()
        transport.full = True
        self.publish(publisher, 1)
        self.publish(publisher, 1)
        lag = slow.lag(lambda: self.now)
        assert lag is not None
        self.intake.pause(lag)
        self.now = 2.5
        now = self.status.now()
        self.assertEqual((now["blocked"], now["blocked_seconds"]), (True, 2.5))


class TailTests(SynchronousTestCase):
    scanned: list[int]
    """The sizes of the batches in which messages were looked for."""

    def log(self, framing: type[Framing], *batches: list[bytes]) -> Log:
        """A log with such messages, framed as they go out."""
        self.scanned = []

        def ends(data: Buffer) -> array[int]:
            self.scanned.append(len(data))
            return framing.ends(data)

        log = Log(ends)
        for messages in batches:
            frames = [frame(one) if framing is Int32 else one + b"\r\n" * (framing is Line) for one in messages]
            data = b"".join(frames)
            stops = array("I")
            if not framing.self_delimiting:
                for one in frames:
                    stops.append(len(one) + (stops[-1] if stops else 0))
            log.append(data, len(messages), len(data), 0.0, stops or None)
        return log

    def test_messages_are_told_without_what_frames_them(self) -> None:
        for framing in (Int32, Line, Raw):
            log = self.log(framing, [b"one", b""] if framing is not Raw else [b"one", b"-"], [b"three"])
            first, _, third = tail(log, framing)
            self.assertEqual(first, {"position": 1, "size": 3, "text": "one"})
            self.assertEqual(third, {"position": 3, "size": 5, "text": "three"})

    def test_the_newest_are_told_across_batches_and_no_more(self) -> None:
        log = self.log(Int32, *([b"%d" % number] for number in range(1, 31)), [b"31", b"32"])
        self.assertEqual(
            [(one["position"], one["text"]) for one in tail(log, Int32)],
            [(number, str(number)) for number in range(33 - TAIL, 33)],
        )

    def test_messages_that_were_dropped_are_not_told(self) -> None:
        log = self.log(Int32, [b"1"], [b"2"], [b"3"])
        log.drop(1)
        self.assertEqual([one["position"] for one in tail(log, Int32)], [2, 3])
        log.drop(3)
        self.assertEqual(tail(log, Int32), [])

    def test_of_a_long_message_the_beginning_is_told(self) -> None:
        log = self.log(Int32, [b"x" * SHOWN, b"y" * (SHOWN + 1), b"z" * 2**17])
        self.assertEqual(
            [(one["size"], one["text"]) for one in tail(log, Int32)],
            [(SHOWN, "x" * SHOWN), (SHOWN + 1, "y" * SHOWN), (2**17, "z" * SHOWN)],
        )

    def test_a_view_is_as_good_as_bytes(self) -> None:
        log = Log(Int32.ends)
        data = frame(b"hello") * 2
        log.append(memoryview(b"before" + data)[6:], 2, len(data), 0.0)
        self.assertEqual([one["text"] for one in tail(log, Int32)], ["hello", "hello"])

    def test_in_a_flood_nothing_is_scanned_but_the_newest_batches(self) -> None:
        flood = [b"x" * 60 + b"y" * (number % 2) for number in range(SCANNED // 64)]
        self.assertEqual(len(tail(self.log(Int32, flood, flood, flood, flood), Int32)), TAIL)
        self.assertEqual(len(self.scanned), 1)

    def test_few_and_large_messages_are_not_looked_for_far_back(self) -> None:
        batches = [[b"x" * 2**17]] * (TAIL + 5)
        found = tail(self.log(Int32, *batches), Int32)
        self.assertEqual(len(found), len(self.scanned))
        self.assertLessEqual(sum(self.scanned) - self.scanned[-1], SCANNED + 2**17)
        self.assertLess(len(found), TAIL)
