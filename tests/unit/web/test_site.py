"""The web port's connections: what nobody may do to it, over a transport of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from relay.core.chores import Chore
from relay.observe.stats import Listed
from relay.peers.admission import MAX_WEB_CONNECTIONS
from relay.peers.rate_limited_log import RateLimitedLog
from relay.web.pages import COSTLY, Pages
from relay.web.request import ALWAYS, Request, Response
from relay.web.site import SECONDS, Channel, Site
from relay.web.streams import Takeover
from tests.kit.fakes import accepted, said

SCRAPS = [
    *(b"GET", b"POST", b" ", b"/", b"*", b"HTTP/1.1", b"\r\n", b"\n", b"?a=%", b"http://[", b"\x00", b"A: b"),
    *(b"Cookie: =;=", b"Connection: ,", b"Host:", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    *(b"Expect: 100-continue", b"Authorization: Basic \xff", b"Upgrade: h2c", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]
"""Of what requests are made."""

MALFORMED = {
    "line": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
    "no line": b"x" * 100_000,
    "headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 501 + b"\r\n",
    "size": b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 2000 + b"\r\n" + (b"C: " + b"d" * 2000 + b"\r\n") * 8 + b"\r\n",
    "folded": b"GET / HTTP/1.1\r\n" + b" folded\r\n" * 2000 + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "version": b"GET /\r\n",
    "colon": b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "length": b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "lengths": b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
}
"""Requests that are none, or too long, by what is wrong with them."""


class FakePages(Pages):
    """Says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.fails = False
        self.listed = Listed()

    def gather(self, asked: Request, then: Callable[[Listed], object]) -> None:
        then(self.listed)

    def respond(self, asked: Request) -> Response:
        self.asked.append(asked)
        if self.fails:
            raise ZeroDivisionError
        statuses = {"/closed": 401, "/foreign": 403, "/elsewhere": 421}
        return Response(statuses.get(asked.path, 200), b"here")


class Web:
    """A site with a clock, and who connects to it."""

    def __init__(self, most: int = MAX_WEB_CONNECTIONS) -> None:
        self.reactor = MemoryReactorClock()
        self.pages = FakePages()
        self.waiting: list[Chore] = []
        self.busy = False
        self.site = Site(self.pages, (), RateLimitedLog(), self.reactor, most, requests=self.lane, costly=self.costly)
        self.costs: list[Chore] = []

    def lane(self, chore: Chore) -> bool:
        if self.busy:
            self.waiting.append(chore)
        else:
            chore()
        return not self.busy

    def costly(self, chore: Chore) -> bool:
        self.costs.append(chore)
        return False

    def connect(self, host: str = "192.0.2.1") -> tuple[Channel, StringTransport]:
        peer = IPv4Address("TCP", host, 40001)
        channel, transport = self.site.buildProtocol(peer), StringTransport(peerAddress=peer)
        assert isinstance(channel, Channel)
        channel.makeConnection(transport)
        return channel, transport

    def send(self, data: bytes, size: int = 2**16) -> StringTransport:
        """Send that in pieces, to a connection of its own, until it is closed."""
        channel, transport = self.connect()
        for at in range(0, len(data), size):
            if not (transport.disconnecting or transport.disconnected):
                channel.dataReceived(data[at : at + size])
        return transport


class SiteTests(SynchronousTestCase):
    """A site, over a transport of the test's own."""

    def test_a_request_is_answered_with_every_header_and_the_connection_ends(self) -> None:
        web = Web()
        transport = web.send(b"GET /a%20b?x=1&x=2&y HTTP/1.1\r\nHost: relay\r\nAccept: text/plain\r\n\r\n", size=1)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        status, *headers = head.decode().split("\r\n")
        self.assertEqual((status, body), ("HTTP/1.1 200 OK", b"here"))
        self.assertLessEqual({f"{name}: {value}" for name, value in ALWAYS}, set(headers))
        self.assertLessEqual({"Connection: close", "Content-Length: 4"}, set(headers))
        self.assertFalse([line for line in headers if line.lower().startswith("server:")])
        self.assertTrue(transport.disconnecting)
        [asked] = web.pages.asked
        named = ((b"Host", b"relay"), (b"Accept", b"text/plain"))
        self.assertEqual(asked, Request("GET", "/a%20b", {"x": ["1", "2"], "y": [""]}, "HTTP/1.1", named))
        self.assertEqual((asked.header("accept"), asked.header("Cookie")), ("text/plain", ""))

    def test_a_target_with_the_host_in_it_is_one_without_and_its_host_counts(self) -> None:
        for target, host, path, query in (
            (b"http://relay:8003/a?x=1", b"relay:8003", "/a", {"x": ["1"]}),
            (b"https://relay/", b"relay", "/", {}),
            (b"http://relay", b"relay", "/", {}),
            (b"http://relay?x=1", b"relay", "/", {"x": ["1"]}),
        ):
            web = Web()
            web.send(b"GET " + target + b" HTTP/1.1\r\nHost: other\r\nHost: another\r\n\r\n")
            [asked] = web.pages.asked
            self.assertEqual((asked.path, asked.query, asked.headers), (path, query, ((b"Host", host),)))

    def test_a_request_waits_while_there_are_too_many_and_its_connection_is_not_read(self) -> None:
        web = Web()
        web.busy = True
        transport = web.send(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
        self.assertEqual((web.pages.asked, transport.producerState), ([], "paused"))
        web.waiting.pop()()
        self.assertEqual(len(web.pages.asked), 1)

    def test_what_is_costly_waits_apart_and_what_is_not_does_not(self) -> None:
        for path in COSTLY:
            web = Web()
            transport = web.send(b"GET " + path.encode() + b"?x HTTP/1.1\r\nHost: relay\r\n\r\n")
            self.assertEqual(web.pages.asked, [])
            web.send(b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n")
            self.assertEqual([asked.path for asked in web.pages.asked], ["/healthz"])
            web.costs.pop()()
            self.assertIn(b"200 OK", transport.value())
            self.assertIs(web.pages.asked[-1].listed, web.pages.listed)

    def test_who_is_gone_while_it_waits_is_not_answered(self) -> None:
        web = Web()
        channel, _ = web.connect()
        channel.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n")
        channel.connectionLost(Failure(ConnectionDone()))
        web.costs.pop()()
        web.busy = True
        channel, _ = web.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
        channel.connectionLost(Failure(ConnectionDone()))
        web.waiting.pop()()
        self.assertEqual(web.pages.asked, [])

    def test_an_empty_line_before_the_request_is_no_fault(self) -> None:
        web = Web()
        web.send(b"\r\nGET / HTTP/1.1\r\nHost: relay\r\n\r\n")
        self.assertEqual(len(web.pages.asked), 1)

    def test_what_is_no_http_is_answered_at_once_with_400_and_the_log_says_what_it_looks_like(self) -> None:
        for data, looks in (
            (b"\0\0\0\5hello", ""),
            (b"a line\n"[2:], ""),
            (b"\x16\x03\x01\x02\0\1", ", it looks like a TLS handshake"),
        ):
            web = Web()
            with capturedLogs() as events:
                transport = web.send(data)
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 400 Bad Request\r\n"))
            self.assertTrue(transport.disconnecting)
            self.assertEqual(web.pages.asked, [])
            line = f"web connection from 192.0.2.1:40001 refused: it sends no HTTP request{looks}"
            self.assertEqual(said(events), [(LogLevel.warn, line)])

    def test_a_head_that_is_too_large_is_answered_with_431_and_words(self) -> None:
        begin = b"GET / HTTP/1.1\r\nHost: relay\r\n"
        for sent in (
            begin + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
            begin + b"".join(b"X%d: a\r\n" % number for number in range(600)) + b"\r\n",
            begin + (b"X: " + b"a" * 1000 + b"\r\n") * 20 + b"\r\n",
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n",
        ):
            web = Web()
            transport = web.send(sent)
            head, _, body = transport.value().partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"), head)
            self.assertEqual(body, b"the head of a request may have 16,384 bytes\n")
            self.assertIn(b"Content-Length: %d" % len(body), head)
            self.assertTrue(transport.disconnecting)
            self.assertEqual(web.pages.asked, [])

    def test_what_takes_the_connection_over_is_told_its_own_address_and_not_what_a_proxy_says(self) -> None:
        told: list[object] = []

        def begin(address: object) -> Protocol:
            told.append(address)
            return Protocol()

        class Streaming(FakePages):
            def respond(self, asked: Request) -> Response | Takeover:  # type: ignore[override]  # as Pages has it
                return Takeover(begin, accepted("subscriber"))

        web = Web()
        web.site.pages = Streaming()
        own, carried = (IPv4Address("TCP", host, 40001) for host in ("192.0.2.1", "198.51.100.7"))
        channel = web.site.buildProtocol(own)
        assert channel is not None
        channel.makeConnection(StringTransport(peerAddress=carried))
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
        self.assertEqual((told, len(web.site.open)), ([own], 0))

    def test_a_head_has_no_body(self) -> None:
        value = Web().send(b"HEAD / HTTP/1.1\r\n\r\n").value()
        self.assertTrue(value.endswith(b"\r\n\r\n"))
        self.assertIn(b"Content-Length: 4\r\n", value)

    def test_what_follows_a_request_is_no_other_one(self) -> None:
        web = Web()
        value = web.send(b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n" * 1000).value()
        self.assertEqual(len(web.pages.asked), 1)
        self.assertEqual(value.count(b"HTTP/1.1"), 1)

    def test_a_body_is_not_waited_for(self) -> None:
        chunked, expecting = b"Transfer-Encoding: chunked", b"Content-Length: 4\r\nExpect: 100-continue"
        for headers in (b"Content-Length: 1000000000000", chunked, expecting):
            web = Web()
            value = web.send(b"POST / HTTP/1.1\r\n" + headers + b"\r\n\r\nbody" + b"more" * 10_000).value()
            self.assertEqual([asked.method for asked in web.pages.asked], ["POST"], headers)
            self.assertTrue(value.endswith(b"\r\n\r\nhere"), headers)

    def test_too_long_and_malformed_requests_end_the_connection_with_no_more_than_a_status(self) -> None:
        for (name, request), size in product(MALFORMED.items(), (7, 2**16)):
            web = Web()
            with capturedLogs() as events:
                transport = web.send(request, size)
            self.assertEqual(web.pages.asked, [], name)
            self.assertTrue(transport.disconnecting or transport.disconnected, name)
            self.assertRegex(transport.value(), rb"^(HTTP/1\.1 (400|431) |$)", name)
            self.assertLess(len(transport.value()), 600, name)
            self.assertLessEqual({level for level, _ in said(events)}, {LogLevel.warn}, name)

    @given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(SCRAPS)), max_size=30), st.integers(1, 50))
    def test_no_bytes_whatever_cause_a_failure(self, parts: list[bytes], size: int) -> None:
        with capturedLogs() as events:
            web = Web()
            channel, transport = web.connect()
            data = b"".join(parts) + b"\r\n\r\n"
            for at in range(0, len(data), size):
                if not (transport.disconnecting or transport.disconnected):
                    channel.dataReceived(data[at : at + size])
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([event for event in events if "log_failure" in event], [])
        self.assertLessEqual(len(web.pages.asked), 1)
        self.assertEqual(web.site.open, {})
        self.assertEqual(web.reactor.getDelayedCalls(), [])

    def test_a_connection_lasts_so_long_and_no_longer_however_its_bytes_trickle(self) -> None:
        web = Web()
        channel, transport = web.connect()
        request = iter(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100)
        for _ in range(int(SECONDS) - 1):
            channel.dataReceived(bytes([next(request)]))
            web.reactor.advance(1.0)
        self.assertFalse(transport.disconnected)
        channel.dataReceived(bytes([next(request)]))
        web.reactor.advance(1.0)
        self.assertTrue(transport.disconnected)

    def test_an_answer_that_nobody_reads_does_not_keep_the_connection(self) -> None:
        web = Web()
        transport = web.send(b"GET / HTTP/1.1\r\n\r\n")
        self.assertFalse(transport.disconnected)
        web.reactor.advance(SECONDS)
        self.assertTrue(transport.disconnected)

    def test_who_comes_to_a_full_port_is_let_in_and_the_oldest_without_a_request_goes(self) -> None:
        web = Web(most=3)
        asked, _ = web.connect()
        asked.dataReceived(b"GET /status HTTP/1.1\r\n\r\n")
        (first, oldest), (_, newer) = web.connect(), web.connect()
        with capturedLogs() as events:
            _, newest = web.connect()
        line = (
            "web connection from 192.0.2.1:40001 cut: there are 3, and it is the oldest of its address without a whole"
        )
        self.assertEqual(said(events), [(LogLevel.warn, f"{line} request")])
        self.assertEqual((oldest.disconnected, newer.disconnected, newest.disconnected), (True, False, False))
        first.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(web.site.open), 3)

    def test_the_address_with_most_connections_gives_way(self) -> None:
        web = Web(most=4)
        _, single = web.connect("2001:db8::1")
        _, oldest = web.connect("2001:db8:0:1::1")
        for host in ("2001:db8:0:1::2", "2001:db8:0:1::3"):
            web.connect(host)
        web.connect("198.51.100.7")
        self.assertEqual((single.disconnected, oldest.disconnected), (False, True))

    def test_if_all_have_asked_the_oldest_of_those_that_are_answered_goes(self) -> None:
        web = Web(most=2)
        transports = []
        for _ in range(2):
            channel, transport = web.connect()
            channel.dataReceived(b"GET /status HTTP/1.1\r\n\r\n")
            transports.append(transport)
        web.connect()
        self.assertEqual([transport.disconnected for transport in transports], [True, False])

    def test_a_failure_of_ours_is_logged_and_not_shown(self) -> None:
        web = Web()
        web.pages.fails = True
        with capturedLogs() as events:
            value = web.send(b"GET / HTTP/1.1\r\n\r\n").value()
        self.assertTrue(value.startswith(b"HTTP/1.1 500 "))
        self.assertNotIn(b"ZeroDivision", value)
        self.assertEqual([event["log_failure"].type for event in events], [ZeroDivisionError])
        self.flushLoggedErrors(ZeroDivisionError)

    def test_what_a_browser_hides_from_a_foreign_page_is_in_the_log(self) -> None:
        for path in (b"/foreign", b"/elsewhere"):
            with capturedLogs() as events:
                Web().send(b"GET " + path + b" HTTP/1.1\r\n\r\n")
            self.assertEqual(said(events), [(LogLevel.warn, "web request from 192.0.2.1:40001 refused: here")])

    def test_a_wrong_token_is_told_of_and_a_missing_one_is_not(self) -> None:
        for header, lines in ((b"", 0), (b"Authorization: Bearer wrong\r\n", 1)):
            with capturedLogs() as events:
                Web().send(b"GET /closed HTTP/1.1\r\n" + header + b"\r\n")
            line = (LogLevel.warn, "web request from 192.0.2.1:40001 with a wrong token")
            self.assertEqual(said(events), [line] * lines)
