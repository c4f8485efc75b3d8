"""What is kept of a connection that is gone: plain values, and little of them."""

from __future__ import annotations

import sys
from dataclasses import FrozenInstanceError, fields

from twisted.trial.unittest import SynchronousTestCase

from relay.core.cursor import Tally
from relay.peers.ended_connection import REMEMBERED, EndedConnection
from relay.wire.close_reason import CloseReason
from relay.wire.hello import MAX_NAME

REGISTRIES = 4
"""Publishers; subscribers by TCP, by server-sent events and by WebSocket."""


def ended(number: int) -> EndedConnection:
    """One whose values are all its own, with an address as long as they are."""
    peer = f"[2001:db8:1234:5678:9abc:def0:1234:{number % 65536:x}]:{number}"
    return EndedConnection(
        number=10**9 + number,
        role="subscriber",
        feed="events",
        peer=peer,
        since=1e9 + number,
        until=2e9 + number,
        reason=CloseReason.OVERRUN,
        tally=Tally(10**9 + number, 10**12 + number, 10**8 + number),
        name="x" * MAX_NAME,
        in_session=True,
        subject="",
    )


class EndedConnectionTests(SynchronousTestCase):
    def test_it_does_not_change(self) -> None:
        one = ended(1)
        for field in fields(one):
            with self.assertRaises(FrozenInstanceError):
                setattr(one, field.name, None)

    def test_one_takes_less_than_750_bytes_and_all_that_are_kept_3_mb_at_most(self) -> None:
        one = ended(1)
        tally = one.tally
        numbers = (one.number, one.since, one.until, tally.messages, tally.bytes, tally.skipped)
        self.assertLess(sum(map(sys.getsizeof, (one, one.peer, one.name, tally, *numbers))), 750)
        self.assertLessEqual(750 * REMEMBERED * REGISTRIES, 3_000_000)
        self.assertFalse(hasattr(one, "__dict__") or hasattr(tally, "__dict__"), "what stands in it is not counted")
