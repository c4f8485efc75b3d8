"""The reasons for the end of a connection: one list, and the same words for it everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

from twisted.logger import formatEvent
from twisted.trial.unittest import SynchronousTestCase

from relay.wire.close_reason import CloseReason

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"


class CloseReasonTests(SynchronousTestCase):
    def test_the_protocol_lists_them_all_and_no_others(self) -> None:
        table = PROTOCOL.read_text().partition("## The end of a connection")[2]
        self.assertEqual(sorted(re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)), sorted(CloseReason))

    def test_the_same_words_are_in_the_log_in_json_and_in_a_text(self) -> None:
        for reason in CloseReason:
            words = reason.value
            self.assertEqual(formatEvent({"log_format": "{reason}", "reason": reason}), words)
            self.assertEqual(json.dumps({reason: reason}), f'{{"{words}": "{words}"}}')
            self.assertEqual(f"{reason} {reason!s}", f"{words} {words}")

    def test_the_words_need_no_escape_in_the_log_in_json_or_in_a_label(self) -> None:
        for reason in CloseReason:
            self.assertRegex(reason.value, "^[A-Za-z]+( [A-Za-z]+)*$")

    def test_the_words_lead_back_to_the_reason(self) -> None:
        for reason in CloseReason:
            self.assertIs(CloseReason(str(reason)), reason)
