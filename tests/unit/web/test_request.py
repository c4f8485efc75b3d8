"""Requests and responses as plain values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from relay.web.request import ALWAYS, JSON, NOTHING, TEXT, Request, Response, line


class RequestTests(SynchronousTestCase):
    def test_of_headers_with_one_name_the_last_counts_however_it_is_written(self) -> None:
        request = Request(headers=((b"Accept", b"first"), (b"Host", b"relay"), (b"aCCEPT", b"last")))
        for name in ("Accept", "accept", "ACCEPT"):
            self.assertEqual(request.header(name), "last")
        self.assertEqual(request.header("Host"), "relay")

    def test_one_that_is_not_there_is_empty_like_one_without_a_value(self) -> None:
        request = Request(headers=((b"Origin", b""), (b"X-Origin", b"x")))
        self.assertEqual((request.header("Origin"), request.header("Cookie")), ("", ""))

    def test_any_bytes_are_text_and_the_same_bytes_again(self) -> None:
        value = bytes(range(256))
        self.assertEqual(Request(headers=((b"\xff\0", b"x"), (b"A", value))).header("a").encode("latin-1"), value)

    def test_it_does_not_change(self) -> None:
        with self.assertRaises(FrozenInstanceError):
            Request().path = "/elsewhere"  # type: ignore[misc]


class ResponseTests(SynchronousTestCase):
    def test_a_line_for_people_is_text_that_ends(self) -> None:
        self.assertEqual(line(404, "grüße"), Response(404, "grüße\n".encode(), "text/plain; charset=utf-8"))
        self.assertEqual(line(401, "x", (("A", "b"),)).headers, (("A", "b"),))

    def test_a_browser_loads_nothing_for_it_unless_it_says_otherwise(self) -> None:
        self.assertEqual(Response(200, b"").loads, NOTHING)
        policy = dict(directive.strip().split(" ", 1) for directive in NOTHING.split(";"))
        self.assertEqual(policy, {"default-src": "'none'", "frame-ancestors": "'none'"})

    def test_what_it_is_is_told_as_a_type_with_the_encoding_of_a_text(self) -> None:
        self.assertEqual((TEXT, JSON), ("text/plain; charset=utf-8", "application/json"))

    def test_no_response_is_kept_guessed_at_framed_or_given_to_other_sites(self) -> None:
        self.assertEqual(
            {name.lower(): value.lower() for name, value in ALWAYS},
            {
                "cache-control": "no-store",
                "x-content-type-options": "nosniff",
                "x-frame-options": "deny",
                "referrer-policy": "no-referrer",
                "cross-origin-resource-policy": "same-origin",
            },
        )
