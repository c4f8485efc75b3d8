"""The pages: a request in, a response out."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from relay.observe.roster import PAGE, ended, page
from relay.observe.stats import Listed
from relay.peers.intake import BACKBONE, JOURNAL, SUBSCRIBERS, WORKERS
from relay.web.pages import Pages
from relay.web.request import NOTHING, Request, Response
from relay.web.streams import Takeover
from tests.kit.elsewhere import FakeElsewhere
from tests.kit.relays import FRAME, HOST, START, RelayCase

TOKEN = b"s3cret"
STREAM = Takeover(lambda address: Protocol())
STARTED = "2001-09-09T01:46:40.000+00:00"  # `date --utc --date @1000000000`
Query = Mapping[str, str]
NO_QUERY: Query = {}
LOCAL = (
    "/",
    "/page.css",
    "/page.js",
    "/words.js",
    "/page.svg",
    "/healthz",
    "/readyz",
    "/metrics",
    "/connections",
    "/events",
)


class Loaded(HTMLParser):
    """What a page has a browser load or may lead it to."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src") and value is not None]


class PagesCase(RelayCase):
    def begin(self, replay: int = 0) -> None:
        super().begin(replay)
        self.unready = ""
        self.token: bytes | None = None
        self.hosts: tuple[str, ...] = ()
        self.accepts: list[str] = []
        self.stopping = False
        self.pages = Pages(
            self.stats,
            self.metrics,
            lambda: self.unready,
            lambda: self.token,
            lambda: self.hosts,
            {"/events": lambda request: STREAM},
            lambda: self.stopping,
        )

    def metrics(self, accept: str) -> tuple[bytes, str]:
        self.accepts.append(accept)
        return b"the numbers", "the type"

    def ask(self, path: str, method: str = "GET", authorization: bytes = b"", query: Query = NO_QUERY) -> Response:
        headers = (HOST, (b"Authorization", authorization)) if authorization else (HOST,)
        return self.respond(Request(method, path, {name: [value] for name, value in query.items()}, headers=headers))

    def respond(self, request: Request) -> Response:
        found = self.pages.respond(request)
        assert isinstance(found, Response), found
        return found


class HostTests(PagesCase):
    """Requests for hosts that are not the relay's own."""

    def status(self, *headers: tuple[bytes, bytes], path: str = "/") -> int:
        found = self.pages.respond(Request(path=path, headers=headers))
        return 200 if found is STREAM or not isinstance(found, Response) else found.status

    def test_without_a_token_a_name_that_anybody_can_own_is_refused_on_every_path(self) -> None:
        for path in (*LOCAL, "/elsewhere"):
            self.assertEqual(self.status((b"Host", b"evil.example:8003"), path=path), 421)
            self.assertEqual(self.status(path=path), 400)
        self.hosts = ("evil.example",)
        self.assertEqual(self.status((b"Host", b"evil.example:8003")), 200)

    def test_with_a_token_any_name_is_good_for_who_shows_it(self) -> None:
        self.token = TOKEN
        name = (b"Host", b"evil.example")
        self.assertEqual((self.status(name), self.status(name, path="/healthz")), (401, 200))
        self.assertEqual(self.status(name, (b"Authorization", b"Bearer " + TOKEN)), 200)


class PathTests(PagesCase):
    def test_each_path_is_answered_and_no_other(self) -> None:
        for path in LOCAL[:-1]:
            self.assertEqual(self.ask(path).status, 200, path)
        self.assertIs(self.pages.respond(Request(path="/events", headers=(HOST,))), STREAM)
        for path in (
            "",
            "*",
            "/index.html",
            "/healthz/",
            "//healthz",
            "/../healthz",
            "/Metrics",
            "/page/page.js",
            "/\0",
        ):
            self.assertEqual(self.ask(path).status, 404, path)

    def test_who_asks_for_what_there_is_not_is_told_what_there_is(self) -> None:
        listed = self.ask("/elsewhere").body.decode().removeprefix("there is ").strip().split(", ")
        self.assertEqual(sorted(listed), sorted(LOCAL))

    def test_only_get_and_head_are_allowed_and_the_answer_says_so(self) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "BREW", ""):
            for path in LOCAL:
                found = self.ask(path, method)
                self.assertEqual((found.status, dict(found.headers)), (405, {"Allow": "GET, HEAD"}), (method, path))
        self.assertEqual(self.ask("/metrics", "HEAD"), self.ask("/metrics"))

    def test_a_stream_has_no_head_alone(self) -> None:
        found = self.ask("/events", "HEAD")
        self.assertEqual((found.status, dict(found.headers)), (405, {"Allow": "GET"}))

    def test_it_is_healthy_while_it_answers_and_ready_unless_it_says_why_not(self) -> None:
        self.assertEqual([self.ask(path).body for path in ("/healthz", "/readyz")], [b"ok\n", b"ok\n"])
        self.unready = "draining"
        found = self.ask("/readyz")
        self.assertEqual((found.status, found.body, self.ask("/healthz").status), (503, b"draining\n", 200))

    def test_while_it_stops_who_watches_it_is_answered_and_others_are_told_to_come_again(self) -> None:
        self.stopping = True
        for unready, reason in (("draining", b"draining\n"), ("", b"stopping\n")):
            self.unready = unready
            for path in ("/", "/readyz", "/connections", "/events", "/elsewhere"):
                found = self.ask(path)
                self.assertEqual((found.status, found.body, dict(found.headers)), (503, reason, {"Retry-After": "1"}))
            self.assertEqual([self.ask(path).status for path in ("/healthz", "/metrics")], [200, 200])

    def test_a_scrape_is_answered_in_the_form_that_it_accepts(self) -> None:
        headers = (HOST, (b"Accept", b"application/openmetrics-text"))
        found = self.pages.respond(Request(path="/metrics", headers=headers))
        self.assertEqual(found, Response(200, b"the numbers", "the type"))
        self.ask("/metrics")
        self.assertEqual(self.accepts, ["application/openmetrics-text", ""])


class FileTests(PagesCase):
    """The status page."""

    def test_its_files_are_those_of_the_package_each_with_its_type(self) -> None:
        folder = files("relay.web") / "page"
        for path, name, kind in (
            ("/", "index.html", "text/html; charset=utf-8"),
            ("/page.css", "page.css", "text/css; charset=utf-8"),
            ("/page.js", "page.js", "text/javascript; charset=utf-8"),
            ("/words.js", "words.js", "text/javascript; charset=utf-8"),
            ("/page.svg", "page.svg", "image/svg+xml"),
        ):
            found = self.ask(path)
            self.assertEqual((found.body, found.kind), ((folder / name).read_bytes(), kind))

    def test_all_that_it_loads_or_leads_to_is_here(self) -> None:
        page = Loaded()
        page.feed(self.ask("/").body.decode())
        self.assertGreater(len(page.links), 3)
        for link in page.links:
            self.assertEqual(self.ask("/" + link.partition("?")[0]).status, 200, link)

    def test_a_browser_loads_nothing_for_it_from_elsewhere_and_runs_no_script_within(self) -> None:
        policy = {}
        for directive in self.ask("/").loads.split(";"):
            name, *sources = directive.split()
            policy[name] = sources
        self.assertEqual(policy["default-src"], ["'none'"])
        self.assertLessEqual({source for sources in policy.values() for source in sources}, {"'none'", "'self'"})
        self.assertEqual(policy["script-src"], ["'self'"])
        self.assertEqual(policy["frame-ancestors"], ["'none'"])
        self.assertEqual([self.ask(path).loads for path in ("/metrics", "/connections", "/none")], [NOTHING] * 3)


class TokenTests(PagesCase):
    def test_without_it_everything_is_closed_but_health(self) -> None:
        self.token = TOKEN
        for path in (*LOCAL, "/elsewhere"):
            for authorization in (b"", b"Bearer wrong", b"Basic " + b64encode(b"s3cret:wrong")):
                for method in ("GET", "HEAD", "POST"):
                    found = self.ask(path, method, authorization)
                    if path != "/healthz":
                        self.assertEqual((found.status, found.body), (401, b"a token is needed\n"), path)
        self.assertEqual(self.ask("/healthz").status, 200)
        self.assertEqual(self.accepts, [], "nothing was looked up for it")

    def test_a_refusal_asks_for_it_in_both_ways(self) -> None:
        self.token = TOKEN
        found = self.ask("/")
        self.assertEqual({name for name, _ in found.headers}, {"WWW-Authenticate"})  # RFC 9110, section 15.5.2
        self.assertEqual([value.split()[0] for _, value in found.headers], ["Basic", "Bearer"])

    def test_with_it_everything_is_open(self) -> None:
        self.token = TOKEN
        for authorization in (b"Bearer " + TOKEN, b"Basic " + b64encode(b"anybody:" + TOKEN)):
            self.assertEqual(self.ask("/connections", authorization=authorization).status, 200)
            request = Request(path="/events", headers=(HOST, (b"Authorization", authorization)))
            self.assertIs(self.pages.respond(request), STREAM)

    def test_another_holds_from_the_moment_when_it_is_set(self) -> None:
        self.token = TOKEN
        self.assertEqual(self.ask("/", authorization=b"Bearer other").status, 401)
        self.token = b"other"
        self.assertEqual(self.ask("/", authorization=b"Bearer other").status, 200)


class ConnectionsTests(PagesCase):
    def connections(self, query: Query = NO_QUERY) -> tuple[list[int], int | None]:
        """The numbers in that page, and after which the next one begins."""
        found = self.ask("/connections", query=query)
        self.assertEqual((found.status, found.kind), (200, "application/json"))
        content = json.loads(found.body)
        self.assertEqual(set(content), {"connections", "next"})
        return [row["number"] for row in content["connections"]], content["next"]

    def test_a_connection_is_told_in_plain_words(self) -> None:
        self.publish(self.publisher(), 2)
        found = json.loads(self.ask("/connections").body)
        row = {
            "number": 1,
            "role": "publisher",
            "feed": "tcp",
            "peer": "192.0.2.1:40001",
            "since": STARTED,
            "messages": 2,
            "bytes": 2 * FRAME,
            "skipped": 0,
            "name": None,
            "session": False,
            "tls_subject": None,
            "state": "open",
            "lag": None,
            "position": None,
            "unacknowledged": None,
        }
        self.assertEqual(found, {"connections": [row], "next": None})

    def test_they_come_in_pages_of_the_length_that_is_asked_for(self) -> None:
        for _ in range(5):
            self.publisher()
        self.assertEqual(self.connections({"most": "2"}), ([1, 2], 2))
        self.assertEqual(self.connections({"most": "2", "after": "2"}), ([3, 4], 4))
        self.assertEqual(self.connections({"most": "2", "after": "4"}), ([5], None))
        self.assertEqual(self.connections({"after": "9" * 18}), ([], None))

    def test_a_page_has_a_thousand_at_most(self) -> None:
        for _ in range(PAGE + 1):
            self.publisher()
        for query in ({}, {"most": "1000"}):
            numbers, following = self.connections(query)
            self.assertEqual((len(numbers), following), (1000, 1000))

    def test_those_that_ended_come_newest_first(self) -> None:
        for second in range(3):
            self.time = START + second
            self.publisher().connectionLost(Failure(ConnectionDone()))
        for query, numbers in (({}, [3, 2, 1]), ({"most": "2"}, [3, 2])):
            content = json.loads(self.ask("/connections", query={"ended": "", **query}).body)
            self.assertEqual([row["number"] for row in content["ended"]], numbers)
        self.assertEqual({row["reason"] for row in content["ended"]}, {"peer closed"})

    def test_what_is_no_number_is_refused_with_a_line_that_says_what_is(self) -> None:
        for after in ("x", "-1", "1.5", "", "9" * 19, "\0", "\u00b2", "+1", "1\n"):
            found = self.ask("/connections", query={"after": after})
            self.assertEqual((found.status, found.body), (400, b"after: the number of a connection\n"), after)
        for most in ("x", "0", "-1", "1001", "", "1.5", "\u0661"):
            found = self.ask("/connections", query={"most": most})
            self.assertEqual((found.status, found.body), (400, b"most: how many connections, from 1 to 1000\n"), most)
            self.assertEqual(self.ask("/connections", query={"most": most, "ended": ""}).status, 400)


class WordsTests(PagesCase):
    def test_the_page_has_words_for_whatever_publishers_wait_for(self) -> None:
        [words] = re.findall(r"const WAITED = \{(.*?)\};", self.ask("/page.js").body.decode(), re.DOTALL)
        for whom in (SUBSCRIBERS, JOURNAL, BACKBONE, WORKERS):
            self.assertRegex(words, rf'\b{whom}: "the ')


class ElsewhereTests(PagesCase):
    """Connections that other processes of the relay have."""

    def gather(self, path: str, query: Query = NO_QUERY) -> None:
        done: list[bool] = []
        request = Request("GET", path, {name: [value] for name, value in query.items()}, headers=(HOST,))
        self.pages.gather(request, lambda listed: done.append(True))
        self.assertEqual(done, [True])

    def test_they_report_before_an_answer_is_made_and_list_connections_only_if_those_are_asked_for(self) -> None:
        self.gather("/metrics")
        self.stats.elsewhere = there = FakeElsewhere()
        self.gather("/metrics")
        self.gather("/connections", {"after": "17"})
        self.gather("/connections")
        self.gather("/connections", {"after": "x"})
        self.assertEqual(there.asked, [None, 17, 0, None])

    def test_their_connections_are_in_the_lists(self) -> None:
        one, _ = self.subscriber()
        one.connectionLost(Failure(ConnectionDone()))
        self.subscriber()
        [row], [gone] = page(self.stats.registries, 0, lambda: 0.0)[0], ended(self.stats.registries)
        there = Listed([replace(row, number=2**32)], [replace(gone, number=2**32, until=gone.until - 1)])
        request = Request(path="/connections", headers=(HOST,), listed=there)
        listed = json.loads(self.respond(request).body)["connections"]
        self.assertEqual([each["number"] for each in listed], [row.number, 2**32])
        listed = json.loads(self.respond(replace(request, query={"ended": [""]})).body)["ended"]
        self.assertEqual([each["number"] for each in listed], [gone.number, 2**32])
