"""The token of the web port: where a request may carry it, and the file that it is read from."""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Faults
from relay.web.token import opens, read_token, readable_by_all, shown
from tests.kit.folders import temporary_folder


def basic(password: bytes) -> bytes:
    return b"Basic " + b64encode(b"anybody:" + password)


class TokenTests(SynchronousTestCase):
    def test_a_token_is_that_of_bearer_or_the_password_of_basic(self) -> None:
        for header in (b"Bearer s3cret:x", b"bearer  s3cret:x ", basic(b"s3cret:x")):
            self.assertEqual(shown(header), b"s3cret:x")
            self.assertTrue(opens(header, b"s3cret:x"))
            self.assertFalse(opens(header, b"s3cret:y"))
        for nothing in (
            *(b"", b"Bearer", b"Basic", b"Basic \xff", b"Basic YTo", b"Digest s3cret", b"s3cret", b"Basic eA=="),
        ):
            self.assertEqual(shown(nothing), b"")
            self.assertFalse(opens(nothing, b"s3cret"))
            self.assertTrue(opens(nothing, None))

    def test_the_file_of_a_token_holds_one_word(self) -> None:
        folder = temporary_folder(self)
        file = folder / "token"
        file.write_bytes(b" s3cret\r\n")
        self.assertEqual(read_token(str(file)), b"s3cret")
        self.assertIsNone(read_token(""))
        self.assertFalse(readable_by_all(""))
        for mode, exposed in ((0o600, False), (0o640, False), (0o604, True), (0o644, True)):
            file.chmod(mode)
            self.assertIs(readable_by_all(str(file)), exposed)
        for text in ("\ufeffs3cret", " s3cret\n"):
            file.write_text(text)
            self.assertEqual(read_token(str(file)), b"s3cret")
        for wrong in (b"", b"\n", b"two words", b"x" * 5000, "s3cret".encode("utf-16"), b"s\xe4cret"):
            file.write_bytes(wrong)
            with self.assertRaisesRegex(Faults, "a token is one word"):
                read_token(str(file))
        with self.assertRaisesRegex(Faults, "No such file"):
            read_token(str(folder / "none"))
