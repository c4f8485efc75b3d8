"""The names of framings: the relay's, and classes of users."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from relay.wire.framings import FRAMINGS, find_framing, framing_name
from relay.wire.raw import Raw
from tests.kit.own_framing import Own

OWN = "tests.kit.own_framing:Own"


class FramingsTests(SynchronousTestCase):
    def test_each_is_found_by_its_name(self) -> None:
        for name, framing in FRAMINGS.items():
            self.assertIs(find_framing(name), framing)
            self.assertEqual(framing_name(framing), name)

    def test_only_raw_cannot_tell_messages_apart(self) -> None:
        self.assertEqual([framing for framing in FRAMINGS.values() if not framing.self_delimiting], [Raw])

    def test_a_class_is_found_by_its_module_and_its_name(self) -> None:
        self.assertIs(find_framing(OWN), Own)
        self.assertEqual(framing_name(Own), OWN)

    def test_what_is_no_framing_is_refused_in_words(self) -> None:
        for name, words in {
            "crlf": "'crlf' is not one of int32, int16, varint, octet, netstring, line, cr, nul, raw, nor a class",
            "": "is not one of",
            "tests.kit": "is not one of",
            ":Own": "is not one of",
            "tests.kit.own_framing:": "is not one of",
            "tests.kit.nowhere:Own": "cannot be imported: ModuleNotFoundError: No module named 'tests.kit.nowhere'",
            "tests.kit.own_framing:Other": "tests.kit.own_framing has no such class",
            "tests.kit.own_framing:own": "tests.kit.own_framing has no such class",
            "twisted.internet.protocol:Protocol": "is no framing: it has no receive",
            "relay.wire.raw:Raw": "it is not self-delimiting",
            "tests.kit.own_framing_" + "x" * 64 + ":Own": "is longer than 64 bytes",
        }.items():
            error = self.assertRaises(ValueError, find_framing, name)
            self.assertIn(words, str(error), name)
