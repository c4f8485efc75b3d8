"""The tester's benchmark: what it sends and looks at, and its figures."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stderr
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.answer import Heartbeat
from relay.wire.control import frame
from relay.wire.framings import FRAMINGS
from relay.wire.hello import read_hello
from relay.wire.position import Position
from tester.bench import systems, wire
from tester.bench.figures import Acks, Figures, Latency, acks, latency, median, percentile, remarks
from tester.bench.inspector import Inspector
from tester.bench.load import processes_for
from tester.bench.measure import chosen, medians, phases, plan, window
from tester.bench.options import parse
from tester.bench.report import COLUMNS, row, title
from tester.bench.systems import PEERS, RELAY, Start
from tester.bench.wire import STAMP, Wire

WIRES = (wire.relay, wire.raw, wire.nats, wire.redis)
NOW = 5_000_000  # nanoseconds
FIGURES = Figures(
    system="relay",
    subscribers=10,
    seconds=2.0,
    published=1000,
    deliveries_per_second=5000.0,
    megabytes_per_second=5.0,
    latency=Latency(1000.0, 50, 60, 70),
    server_cpu_per_delivery=0.25,
    server_peak_memory=50e6,
    server_cores=0.95,
    generator_cores=0.5,
    generator_total=0.7,
    incomplete=0,
    damaged=0,
    orders=0,
)


class OptionsTests(SynchronousTestCase):
    def error(self, *arguments: str) -> str:
        with redirect_stderr(io.StringIO()) as stderr:
            self.assertEqual(self.assertRaises(SystemExit, parse, arguments).code, 2)
        self.assertEqual(stderr.getvalue().count("\n"), 1)
        return stderr.getvalue()

    def test_by_default_it_floods_a_relay_of_its_own(self) -> None:
        options = parse([])
        self.assertEqual((options.subscribers, options.publishers, options.size), ([10], 1, 1024))
        self.assertEqual((options.publish, options.rate, options.compare), (None, None, []))

    def test_numbers_of_subscribers_make_an_ascending_series(self) -> None:
        self.assertEqual(parse(["--subscribers", "100,1,10,1"]).subscribers, [1, 10, 100])

    def test_a_relay_that_runs_already_is_named_by_both_its_addresses(self) -> None:
        options = parse(["--publish", "relay.example:8001", "--subscribe", "[::1]:8002"])
        self.assertEqual((options.publish, options.subscribe), (("relay.example", 8001), ("::1", 8002)))

    def test_a_rate_is_a_number_or_a_flood(self) -> None:
        self.assertIsNone(parse(["--rate", "flood"]).rate)
        self.assertEqual(parse(["--rate", "2.5"]).rate, 2.5)

    def test_nobody_has_a_session_unless_it_is_asked_for(self) -> None:
        options = parse([])
        self.assertEqual((options.session, options.acks, options.heartbeat), (False, False, 10.0))
        self.assertEqual(parse(["--session", "--heartbeat", "0"]).heartbeat, 0)

    def test_each_number_of_workers_is_a_system_of_its_own(self) -> None:
        options = parse(["--workers", "0,2,1,2"])
        self.assertEqual([one.name for one in chosen(options, print)], ["relay", "relay, 2 workers", "relay, 1 worker"])
        running = ("--publish", "a:1", "--subscribe", "a:2")
        self.assertIn("--workers is for a relay that is started here", self.error(*running, "--workers", "1"))
        self.assertIn("with --framing int32, not line", self.error("--framing", "line", "--workers", "1"))

    def test_what_makes_no_sense_is_refused(self) -> None:
        self.assertIn("--heartbeat is from 1 to 3600 seconds, or 0", self.error("--heartbeat", "0.5"))
        self.assertIn("--heartbeat is from 1 to 3600 seconds, or 0", self.error("--heartbeat", "3601"))
        self.assertIn("belong together", self.error("--publish", "a:1"))
        self.assertIn("--pid is for", self.error("--pid", "1"))
        self.assertIn("not HOST:PORT: '8001'", self.error("--publish", "8001"))
        self.assertIn("15 is less than 16", self.error("--size", "15"))
        self.assertIn("not one of c, nats, redis, bun, ws, silent: 'kafka'", self.error("--compare", "c,kafka"))
        self.assertIn("neither messages a second nor flood: 'nan'", self.error("--rate", "nan"))
        self.assertIn("not a whole number: ''", self.error("--subscribers", "1,"))
        self.assertIn("--seconds is more than 0", self.error("--seconds", "0"))
        self.assertIn("does not end in .svg", self.error("--plot", "drawing.png"))
        self.assertIn("no file can be written in /nowhere", self.error("--json", "/nowhere/figures.json"))


class PlanTests(SynchronousTestCase):
    def test_systems_take_turns(self) -> None:
        runs = plan(parse(["--runs", "2", "--subscribers", "1,2"]), [RELAY, PEERS["c"]])
        order = [(run.system.name, run.subscribers) for run in runs]
        self.assertEqual(order, [("relay", 1), ("c", 1)] * 2 + [("relay", 2), ("c", 2)] * 2)

    def test_latency_is_not_measured_in_a_flood_but_after_it(self) -> None:
        flood, modest = phases(parse(["--verify"]), 10)
        self.assertEqual((flood.rate, flood.verify, flood.timed), (None, True, False))
        self.assertEqual((modest.rate, modest.verify, modest.timed), (1000.0, False, True))

    def test_a_modest_rate_is_modest_for_many_subscribers_and_long_messages(self) -> None:
        self.assertEqual(phases(parse([]), 1000)[1].rate, 50.0)
        self.assertEqual(phases(parse(["--size", "1000000"]), 10)[1].rate, 50.0)

    def test_at_a_rate_latency_is_measured_at_that_rate(self) -> None:
        (only,) = phases(parse(["--rate", "7"]), 10)
        self.assertEqual((only.rate, only.interval, only.timed), (7.0, 0.0001, True))

    def test_what_is_due_may_go_out_together_now_and_then(self) -> None:
        options = parse(["--rate", "7", "--interval", "0.5"])
        self.assertEqual(phases(options, 10)[0].interval, 0.5)
        self.assertIn("7 messages/s in writes every 0.5 s", title(options))

    def test_what_is_under_way_to_many_subscribers_together_is_limited(self) -> None:
        self.assertEqual([window(parse([]), count) for count in (1, 1024, 2048)], [4 * 2**20, 4 * 2**20, 2 * 2**20])
        self.assertEqual(window(parse([]), 20_000), 2**19)
        self.assertEqual(window(parse(["--size", "1000000"]), 20_000), 4_000_000)

    def test_the_system_and_the_publishers_have_a_core_each(self) -> None:
        self.assertEqual([processes_for(100, cores) for cores in (1, 2, 4, 64)], [1, 1, 2, 4])
        self.assertEqual(processes_for(1, 64), 1)


class WireTests(SynchronousTestCase):
    def test_a_message_has_the_length_that_is_announced(self) -> None:
        for template in WIRES:
            for size in (16, 1000, 2**20):
                spoken = template(size)
                self.assertEqual(len(spoken.published(250, NOW)), spoken.published_length)

    def test_each_system_is_spoken_to_as_it_wants(self) -> None:
        message = STAMP.pack(NOW, 0) + b"\0\1"
        self.assertEqual(wire.relay(18).published(0, NOW), b"\0\0\0\x12" + message)
        self.assertEqual(wire.raw(18).published(0, NOW), message)
        self.assertEqual(wire.nats(18).published(0, NOW), b"PUB a 18\r\n" + message + b"\r\n")
        published = b"*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$18\r\n" + message + b"\r\n"
        self.assertEqual(wire.redis(18).published(0, NOW), published)

    def test_only_those_who_are_to_have_sessions_say_hello(self) -> None:
        for subscribers, publishers in ((True, False), (False, True), (True, True)):
            spoken = wire.session(18, subscribers=subscribers, publishers=publishers, heartbeat=3)
            self.assertEqual((bool(spoken.subscriber_hello), bool(spoken.publisher_hello)), (subscribers, publishers))
            self.assertEqual((bool(spoken.heartbeat), spoken.acks), (subscribers, publishers))
            self.assertEqual(spoken.published(0, NOW), wire.relay(18).published(0, NOW))
            for hello in filter(None, (spoken.subscriber_hello, spoken.publisher_hello)):
                self.assertEqual(read_hello(hello[4:]).heartbeat, 3)

    def test_no_heartbeat_is_longer_than_is_thought(self) -> None:
        longest = Heartbeat(next=Position("0123456789ab", 2**63)).write()
        self.assertLessEqual(len(frame(longest)), wire.HEARTBEAT)

    def test_without_sessions_the_relay_is_spoken_to_as_ever(self) -> None:
        self.assertIs(systems.relay(session=False, acks=False, heartbeat=10), RELAY)
        self.assertEqual(PEERS["silent"].wire(18), wire.relay(18))

    def test_messages_that_follow_each_other_differ_everywhere(self) -> None:
        one, other = (wire.raw(1000).filling(number) for number in (250, 251))
        self.assertTrue(all(a != b for a, b in zip(one, other, strict=True)))

    def test_the_relay_is_told_of_messages_that_it_would_not_take_otherwise(self) -> None:
        self.assertNotIn("--max-message", RELAY.command(Start("twistd", 1, 2, 99_999, Path())))
        self.assertIn("--max-message", RELAY.command(Start("twistd", 1, 2, 100_000, Path())))


def delivered(spoken: Wire, *numbers: int) -> bytes:
    """These messages as a subscriber receives them."""
    return b"".join(
        spoken.delivered_before + STAMP.pack(NOW, number) + spoken.filling(number) + spoken.after for number in numbers
    )


class FramingTests(SynchronousTestCase):
    def test_each_framing_tells_the_messages_of_the_load_apart(self) -> None:
        for name, kind in FRAMINGS.items():
            if name == "raw":
                continue
            spoken = wire.relay(40, name)
            sent = [spoken.published(number, 10**18 + number * 1_000_003) for number in range(1000)]
            runs = kind(40).receive(b"".join(sent))
            self.assertEqual(sum(run.messages for run in runs), 1000, name)
            inspector = Inspector(spoken, verify=True, timed=True)
            inspector.feed(b"".join(sent), 2 * 10**18)
            self.assertEqual((inspector.damaged, inspector.delays.total()), (0, 1000), name)

    def test_what_cannot_be_measured_is_refused_in_words(self) -> None:
        for words, *arguments in (
            ("needs messages of 32 bytes", "--framing", "line", "--size", "31"),
            ("has no length of 2 bytes", "--framing", "int16", "--size", "65536"),
            ("with --framing int32, not varint", "--framing", "varint", "--acks"),
            ("invalid choice: 'raw'", "--framing", "raw"),
        ):
            errors = io.StringIO()
            with redirect_stderr(errors), self.assertRaises(SystemExit):
                parse(arguments)
            self.assertIn(words, errors.getvalue())


class InspectorTests(SynchronousTestCase):
    def inspect(self, spoken: Wire, *pieces: bytes) -> Inspector:
        inspector = Inspector(spoken, verify=True, timed=True)
        for piece in pieces:
            inspector.feed(piece, NOW + 3_000_500)
        return inspector

    @given(st.sampled_from(WIRES), st.integers(16, 40), st.lists(st.integers(0, 200)))
    def test_messages_are_intact_wherever_the_stream_was_cut(self, template: Any, size: int, cuts: list[int]) -> None:
        spoken = template(size)
        stream = spoken.noise + delivered(spoken, 0, 1) + spoken.noise + delivered(spoken, 2, 3)
        places = [0, *sorted(cuts), len(stream)]
        inspector = self.inspect(spoken, *(stream[a:b] for a, b in pairwise(places)))
        self.assertEqual(inspector.damaged, 0)
        self.assertEqual(inspector.delays, Counter({3000: 4}))

    @given(st.integers(16, 40), st.lists(st.integers(0, 400)))
    def test_what_is_said_in_a_session_is_no_message(self, size: int, cuts: list[int]) -> None:
        spoken = wire.session(size, subscribers=True, publishers=False, heartbeat=1)
        said = frame(b'{"type":"heartbeat","next":"5289cfdd2847-18"}')
        stream = said + delivered(spoken, 0, 1) + said + said + delivered(spoken, 2) + said + delivered(spoken, 3)
        places = [0, *sorted(cuts), len(stream)]
        inspector = self.inspect(spoken, *(stream[a:b] for a, b in pairwise(places)))
        self.assertEqual((inspector.damaged, inspector.delays), (0, Counter({3000: 4})))

    def test_a_byte_that_changed_is_damage(self) -> None:
        spoken = wire.nats(100)
        stream = delivered(spoken, 0, 1)
        for place in (0, len(stream) // 2 - 1, len(stream) - 30):
            changed = stream[:place] + b"!" + stream[place + 1 :]
            self.assertEqual(self.inspect(spoken, changed).damaged, 1)

    def test_one_that_is_missing_or_comes_twice_is_damage(self) -> None:
        spoken = wire.relay(20)
        self.assertEqual(self.inspect(spoken, delivered(spoken, 0, 2, 3)).damaged, 1)
        self.assertEqual(self.inspect(spoken, delivered(spoken, 0, 0, 1)).damaged, 1)

    def test_every_publisher_has_an_order_of_its_own_and_all_together_have_one(self) -> None:
        spoken, second = wire.relay(20), 1 << 48
        one = self.inspect(spoken, delivered(spoken, 0, second, 1, second + 1))
        same = self.inspect(spoken, delivered(spoken, 0, second, 1, second + 1))
        other = self.inspect(spoken, delivered(spoken, 0, second, second + 1, 1))
        self.assertEqual((one.damaged, other.damaged), (0, 0))
        self.assertEqual(one.order, same.order)
        self.assertNotEqual(one.order, other.order)


class FiguresTests(SynchronousTestCase):
    def test_percentiles_are_delays_that_were_seen(self) -> None:
        delays = Counter(dict.fromkeys(range(1, 1001), 1))
        self.assertEqual([percentile(delays, part) for part in (0.5, 0.99, 0.999)], [500, 990, 999])
        self.assertEqual(percentile(Counter({7: 1}), 0.999), 7)

    def test_without_delays_there_is_no_latency(self) -> None:
        self.assertIsNone(latency(Counter(), 1000.0))
        self.assertEqual(latency(Counter({5: 9}), 1000.0), Latency(1000.0, 5, 5, 5))

    def test_each_figure_has_a_median_of_its_own_and_faults_are_kept(self) -> None:
        runs = [
            replace(FIGURES, seconds=float(i), server_cores=None, damaged=i, latency=Latency(9.0, i, -i, 0))
            for i in (3, 1, 2)
        ]
        middle = median(runs)
        self.assertEqual((middle.seconds, middle.server_cores, middle.damaged), (2.0, None, 3))
        self.assertEqual(middle.latency, Latency(9.0, 2, -2, 0))
        self.assertIsNone(median([replace(FIGURES, latency=None)]).latency)

    def test_acks_have_medians_in_milliseconds(self) -> None:
        self.assertIsNone(acks(Counter()))
        self.assertEqual(acks(Counter({1500: 98, 2500: 2})), Acks(1.5, 2.5))
        runs = [replace(FIGURES, ack_ms=Acks(i, 10 * i), unacknowledged=i) for i in (3, 1, 2)]
        middle = median(runs)
        self.assertEqual((middle.ack_ms, middle.unacknowledged), (Acks(2, 20), 3))
        self.assertIsNone(median([FIGURES]).ack_ms)

    def test_every_system_has_medians_with_every_number_of_subscribers(self) -> None:
        results = [replace(FIGURES, system=name, subscribers=count) for count in (1, 2) for name in ("relay", "c") * 3]
        found = [(each.subscribers, each.system) for each in medians(results)]
        self.assertEqual(found, [(1, "relay"), (1, "c"), (2, "relay"), (2, "c")])

    def test_the_table_has_all_figures_and_says_which_are_not_known(self) -> None:
        known = ["relay", "10", "5,000", "5", "1,000", "50", "60", "70", "0.250", "50"]
        self.assertEqual(row(FIGURES), [*known, "none", "none"])
        self.assertEqual(row(replace(FIGURES, ack_ms=Acks(0.25, 1.5))), [*known, "0.25", "1.50"])
        self.assertEqual(len(known), len(COLUMNS))
        unknown = replace(FIGURES, latency=None, server_cpu_per_delivery=None, server_peak_memory=None)
        self.assertEqual(row(unknown), [*known[:4], *["unknown"] * 6, "none", "none"])

    def test_the_title_says_what_the_load_was(self) -> None:
        self.assertEqual(
            title(parse(["--publishers", "2", "--rate", "20000", "--runs", "3", "--verify"])),
            "2 publishers, messages of 1,024 bytes, 20,000 messages/s, 5 s, medians of 3 runs, all verified",
        )
        self.assertIn(
            "subscribers and publishers with sessions and a heartbeat every 10 s", title(parse(["--session", "--acks"]))
        )
        self.assertIn(", publishers with sessions and no heartbeats", title(parse(["--acks", "--heartbeat", "0"])))


class RemarksTests(SynchronousTestCase):
    def remark(self, rate: float | None = None, **changes: Any) -> str:  # Any: figures of all kinds
        return "\n".join(remarks(replace(FIGURES, **changes), rate, cores=4))

    def test_a_busy_server_is_what_was_to_be_measured(self) -> None:
        self.assertEqual(self.remark(), "")
        self.assertEqual(self.remark(generator_cores=0.99), "")

    def test_a_busy_load_beside_an_idle_server_is_the_bottleneck(self) -> None:
        said = self.remark(server_cores=0.5, generator_cores=0.97)
        self.assertIn("the load generator was the bottleneck, not the server (50% of a core", said)
        self.assertIn("97% for the busiest", said)

    def test_a_server_that_nobody_knows_may_not_have_been_it(self) -> None:
        self.assertIn("may have been", self.remark(server_cores=None, generator_cores=0.97))
        self.assertEqual(self.remark(server_cores=None), "")

    def test_a_full_machine_and_an_idle_one_are_told_apart(self) -> None:
        self.assertIn("all 4 cores were busy", self.remark(server_cores=0.7, generator_total=3.0))
        self.assertIn("nothing was busy", self.remark(server_cores=0.7, generator_total=1.0))

    def test_a_rate_that_was_not_reached_is_told(self) -> None:
        self.assertEqual(self.remark(rate=500.0, server_cores=0.1), "")
        self.assertIn("only 500 of the 1,000 messages/s", self.remark(rate=1000.0))

    def test_what_went_wrong_is_told_and_is_not_sound(self) -> None:
        self.assertTrue(FIGURES.is_sound)
        faults: dict[str, dict[str, Any]] = {  # Any: see `remark`
            "did not get everything": {"incomplete": 2},
            "damaged": {"damaged": 2},
            "2 different orders": {"orders": 2},
            "2 messages were not acknowledged": {"unacknowledged": 2},
        }
        for words, changes in faults.items():
            self.assertIn(words, self.remark(**changes))
            self.assertFalse(replace(FIGURES, **changes).is_sound)
