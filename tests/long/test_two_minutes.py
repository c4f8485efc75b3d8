"""What peers do to each other only after a while. It goes on beside the other tests: see `conftest`."""

from __future__ import annotations

from concurrent.futures import Future


def test_two_minutes_of_slow_and_silent_peers_end_those_alone_that_do_nothing(two_minutes: Future[None]) -> None:
    two_minutes.result(240)
