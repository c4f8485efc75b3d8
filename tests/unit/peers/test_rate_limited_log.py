"""Log lines that peers can cause."""

from __future__ import annotations

from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.peers.rate_limited_log import RateLimitedLog
from relay.wire.close_reason import CloseReason
from tests.kit.fakes import said


class LinesTests(SynchronousTestCase):
    log = Logger()

    def test_so_many_of_each_kind_and_a_count_of_the_rest(self) -> None:
        lines = RateLimitedLog(most=2)
        with capturedLogs() as events:
            for number in range(1005):
                lines.info(self.log, "{number} connected", number=number)
            lines.warn(self.log, "{what} refused", what="another kind")
            lines.sweep(1.0)
            lines.sweep(1.0)
            lines.info(self.log, "{number} connected", number=1005)
        self.assertEqual(
            said(events),
            [
                (LogLevel.info, "0 connected"),
                (LogLevel.info, "1 connected"),
                (LogLevel.warn, "another kind refused"),
                (LogLevel.info, "1,003 more lines like this were left out: 1004 connected"),
                (LogLevel.info, "1005 connected"),
            ],
        )

    def test_one_that_gives_another_reason_or_warns_is_of_another_kind(self) -> None:
        lines, ended = RateLimitedLog(most=2), "{peer} disconnected: {reason}"
        with capturedLogs() as events:
            for number in range(10):
                lines.info(self.log, ended, peer=number, reason=CloseReason.PEER_CLOSED)
            lines.info(self.log, ended, peer=10, reason=CloseReason.OVERRUN)
            for number in range(11, 15):
                lines.warn(self.log, ended, peer=number, reason=CloseReason.PEER_CLOSED)
            lines.sweep(1.0)
        self.assertEqual(
            said(events)[2:],
            [
                (LogLevel.info, "10 disconnected: overrun"),
                (LogLevel.warn, "11 disconnected: peer closed"),
                (LogLevel.warn, "12 disconnected: peer closed"),
                (LogLevel.info, "8 more lines like this were left out: 9 disconnected: peer closed"),
                (LogLevel.warn, "2 more lines like this were left out: 14 disconnected: peer closed"),
            ],
        )
