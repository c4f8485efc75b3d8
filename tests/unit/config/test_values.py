"""Sizes: how they are read, and how they are shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from relay.config.values import endpoint, show_size, size


class SizeTests(SynchronousTestCase):
    def test_sizes_have_units(self) -> None:
        for text, number in (("7", 7), ("2KiB", 2048), (" 3 MiB ", 3 * 2**20), ("1GiB", 2**30)):
            self.assertEqual(size(text), number)

    def test_they_are_shown_as_short_as_they_are_exact(self) -> None:
        for number, text in ((0, "0 bytes"), (99_999, "99,999 bytes"), (2048, "2 KiB"), (2**26, "64 MiB")):
            self.assertEqual(show_size(number), text)

    @given(st.integers(0, 2**40))
    def test_what_is_shown_is_what_was_meant(self, number: int) -> None:
        self.assertEqual(size(show_size(number).replace(",", "").removesuffix(" bytes")), number)


class EndpointTests(SynchronousTestCase):
    def test_what_twisted_takes_is_taken_as_it_is(self) -> None:
        for text in (
            "tcp:8001",
            "tcp:65535:interface=127.0.0.1",
            r"tcp6:8001:interface=\:\:1",
            "unix:/run/relay.sock",
            "tcp:0",
        ):
            self.assertEqual(endpoint(text), text)

    def test_what_is_wrong_is_told_without_words_of_twisted_s_own_functions(self) -> None:
        for text, words in (
            ("tcp6:8001:interface=::1", r"a colon within an address is written \:, as in tcp6:8001:interface=\:\:1"),
            ("tcp:8001:::", r"a colon within an address is written \:"),
            ("tcp", "its port is missing"),
            ("tcp:http", "'http' is not a number of that kind"),
            ("tcp:8001:interfce=127.0.0.1", "it has no part 'interfce'"),
            ("unix:/x:mode=999", "'999' is not a number of that kind"),
            ("tcp:65536", "a port is a number from 0 to 65,535"),
            ("haproxy:tcp6:70000", "a port is a number from 0 to 65,535"),
            ("tpc:8001", "Unknown endpoint type: 'tpc'"),
            ("8001", "did you mean tcp:8001?"),
            ("localhost:8001", "did you mean tcp:8001:interface=127.0.0.1?"),
            ("192.0.2.1:8001", "did you mean tcp:8001:interface=192.0.2.1?"),
            ("ssl:8001", "server.pem: No such file or directory): for TLS give tcp:8001 to --publish-tls"),
            ("systemd:domain=INET:name=x", "no socket with the name 'x' was handed over): sockets come from a unit"),
            ("systemd:domain=INET:index=7", "no such socket was handed over"),
        ):
            with self.assertRaises(ValueError) as raised:
                endpoint(text)
            said = str(raised.exception)
            self.assertTrue(said.startswith(f"{text!r} is not an endpoint"), said)
            self.assertIn(words, said)
            for word in ("_parse", "argument", "literal"):
                self.assertNotIn(word, said)
