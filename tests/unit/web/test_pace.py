"""How fast a subscriber that lags takes what it is given."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.web.pace import LEAST, WINDOW, Mark, Pace, Paces


class PaceTests(SynchronousTestCase):
    def test_there_is_none_at_first(self) -> None:
        paces = Paces()
        self.assertIsNone(paces.see(1, Mark(0.0, 0, 100)))
        self.assertIsNone(paces.see(1, Mark(LEAST - 1, 0, 100)))
        self.assertEqual(paces.see(1, Mark(LEAST, 300, 400)), Pace(300 / LEAST, 300 / LEAST))

    def test_what_comes_at_once_every_ten_seconds_is_a_steady_pace(self) -> None:
        paces = Paces()
        for second in range(100):
            given = second // 10 * 10_000
            pace = paces.see(1, Mark(float(second), given, 2000 * second - given))
            if second > 2 * WINDOW:
                assert pace is not None
                self.assertTrue(500 < pace.rate < 1500, pace)

    def test_it_is_that_of_the_last_half_minute(self) -> None:
        paces = Paces()
        for second in range(100):
            pace = paces.see(1, Mark(float(second), min(second, 50) * 1000, 0))
        self.assertEqual(pace, Pace(0.0, 0.0))

    def test_who_is_not_kept_begins_anew(self) -> None:
        paces = Paces()
        for number in (1, 2):
            paces.see(number, Mark(0.0, 0, 0))
        paces.keep({2})
        self.assertIsNone(paces.see(1, Mark(10.0, 0, 0)))
        self.assertIsNotNone(paces.see(2, Mark(10.0, 0, 0)))

    def test_its_words_say_when_the_room_will_be_used_up(self) -> None:
        less = "takes 20.0 kB/s, less than it is sent"
        for pace, room, words in (
            (Pace(20_000, 1000), None, less),
            (Pace(20_000, 1000), 50_000, f"{less}: too far behind in about 50 s"),
            (Pace(20_000, 1000), 600_000, f"{less}: too far behind in about 10 min"),
            (Pace(20_000, 1000), 36_000_000, f"{less}: too far behind in about 10 h"),
            (Pace(20_000, 1000), -5, f"{less}: too far behind in about 0 s"),
            (Pace(1_234_567, -1), 5, "takes 1,234.6 kB/s, and catches up"),
        ):
            self.assertEqual(pace.words(room), words)
