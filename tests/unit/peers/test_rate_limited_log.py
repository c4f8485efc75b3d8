"""Log lines that peers can cause."""

from __future__ import annotations

from twisted.logger import Logger, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.peers.rate_limited_log import RateLimitedLog
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
                (LogLevel.info, "1,003 more lines like this were left out: {number} connected"),
                (LogLevel.info, "1005 connected"),
            ],
        )
