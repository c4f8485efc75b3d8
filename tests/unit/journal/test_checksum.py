"""The checksum is CRC-32 as zlib has it, whichever library computes it."""

from __future__ import annotations

import subprocess
import sys
from zlib import crc32 as reference

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.journal.checksum import crc32
from tests.kit.page import ROOT


class ChecksumTests(SynchronousTestCase):
    @given(st.binary(max_size=10_000), st.integers(0, 2**32 - 1))
    def test_it_is_that_of_zlib(self, data: bytes, start: int) -> None:
        self.assertEqual(crc32(data, start), reference(data, start))
        self.assertEqual(crc32(memoryview(data)), reference(data))

    def test_without_the_extra_it_is_zlib_itself(self) -> None:
        hide = "import sys, zlib; sys.modules['isal'] = None; "
        code = hide + "from relay.journal.checksum import crc32; print(crc32 is zlib.crc32)"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr), ("True\n", ""))
