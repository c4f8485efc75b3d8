"""Mirrors with real processes: subscribers that move, relays that die and come back, and what is no relay to mirror."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.doors import Doors
from tests.kit.fakes import frame
from tests.kit.mirrors import EventStream, Mirror, Session
from tests.kit.peers import connection, ends, receive, subscribers
from tests.kit.process import DEADLINE, TWISTD, Relay, free_port, killed, lasting, start, wait_until
from tests.kit.session_peers import PacedFlood, ResumingSubscriber, check_messages, position, within
from tests.kit.session_wires import WebSocketWire
from tests.kit.web import ask, metric, relay, rows, wait_for_metric


def publish(relay: Relay, *messages: bytes) -> None:
    """Publish these, and see that the relay has read them."""
    with connection(relay.publish_port) as publisher:
        publisher.sendall(b"".join(map(frame, messages)))
        publisher.shutdown(1)
        assert publisher.recv(1) == b""


def ready(mirror: Mirror) -> tuple[int, str]:
    """What its web port says to who asks whether it is ready."""
    status, _, words = ask(mirror.web_port, "/readyz")
    return status, words.decode().strip()


def test_a_subscriber_moves_between_a_relay_its_mirror_and_the_mirrors_mirror() -> None:
    with Relay() as centre, Mirror(centre.subscribe_port) as mirror, Mirror(mirror.subscribe_port) as second:
        subscriber = ResumingSubscriber(centre.subscribe_port, position(second.subscribe_port), patience=8)
        with PacedFlood(centre.publish_port, 2000) as flood:
            for one in [*(centre, mirror, second, centre, second, mirror) * 3]:
                subscriber.move(one.subscribe_port)
                enough = len(subscriber.messages) + 20
                subscriber.connect_once(lambda enough=enough: len(subscriber.messages) >= enough)  # type: ignore[misc]
            count = flood.stop()
        subscriber.run(within(DEADLINE, lambda: len(subscriber.messages) >= count))
        check_messages(subscriber, count)
        assert not subscriber.lost
        assert not [one for one in (centre, mirror, second) if one.log.find("Traceback|subscribers end")]


def test_without_the_other_relay_a_mirror_is_not_ready_and_serves_those_who_are_there() -> None:
    centre = lasting()
    with ExitStack() as stack:
        stack.enter_context(centre)
        mirror = stack.enter_context(Mirror(centre.subscribe_port))
        assert ready(mirror) == (200, "ok")
        [silent] = stack.enter_context(subscribers(mirror))
        publish(centre, b"one")
        assert receive(silent, 7) == frame(b"one")
        session = stack.enter_context(Session(mirror.subscribe_port, replay=1))
        assert session.take() == b"one"
        epoch = session.welcome["next"].partition("-")[0]

        centre.log.process.kill()
        mirror.log.wait_for("mirror .* cannot connect: nobody listens there; it goes on trying")
        assert ready(mirror) == (503, f"not connected to tcp:127.0.0.1:{centre.subscribe_port}, which it mirrors")
        with Session(mirror.subscribe_port, after=f"{epoch}-0") as other:
            assert other.take() == b"one"

        centre = stack.enter_context(killed(centre))  # without a journal, it has forgotten all
        mirror.log.wait_for("an unknown number of messages are missing before .*-1; . subscribers end")
        assert ends(silent)
        assert mirror.log.wait_for("subscriber .* disconnected: upstream gap")
        bye = session.take()
        assert isinstance(bye, dict)
        assert (bye["type"], bye["reason"]) == ("bye", "upstream gap")
        assert ready(mirror) == (200, "ok")
        publish(centre, b"new")
        with Session(mirror.subscribe_port, after=f"{epoch}-1") as session:
            welcome = session.welcome
            assert welcome["lost"] is None
            assert not welcome["next"].startswith(epoch)
            assert session.take() == b"new"
        assert not mirror.log.find("Traceback")


def test_when_the_other_relay_has_a_journal_and_is_killed_nobody_ends(tmp_path: Path) -> None:
    options = ("--journal", str(tmp_path), "--journal-size", "64MiB")
    centre = lasting(*options)
    with ExitStack() as stack:
        stack.enter_context(centre)
        mirror = stack.enter_context(Mirror(centre.subscribe_port))
        second = stack.enter_context(Mirror(mirror.subscribe_port))
        peers = [peer for one in (mirror, second) for peer in stack.enter_context(subscribers(one))]
        publish(centre, b"one")
        assert [receive(peer, 7) for peer in peers] == [frame(b"one")] * 2
        centre = stack.enter_context(killed(centre, *options))
        publish(centre, b"two")
        assert [receive(peer, 7) for peer in peers] == [frame(b"two")] * 2
        assert not [one for one in (mirror, second) if one.log.find("Traceback|subscribers end")]


def test_a_mirror_that_starts_has_what_was_published_before() -> None:
    with Relay("--replay", "1") as centre:  # so that it keeps what was published
        publish(centre, *[b"%d" % number for number in range(5)])
        epoch = position(centre.subscribe_port).partition("-")[0]
        with Mirror(centre.subscribe_port) as mirror, Session(mirror.subscribe_port, after=f"{epoch}-2") as session:
            assert [session.take() for _ in range(3)] == [b"2", b"3", b"4"]
            assert session.welcome["lost"] == 0


def test_web_subscribers_go_on_at_a_mirror_where_they_stopped() -> None:
    with relay() as (centre, web), Mirror(centre.subscribe_port) as mirror:
        with EventStream(web) as before:
            publish(centre, b"one", b"two")
            before.take()
            last = before.take().id
        with (
            EventStream(mirror.web_port, last) as events,
            Session(mirror.web_port, WebSocketWire, after=last) as socket,
            connection(centre.publish_port) as publisher,
        ):
            publisher.sendall(frame(b"three"))
            assert events.take().message == b"three"
            assert socket.take() == b"three"
            assert (socket.welcome["lost"], socket.welcome["next"]) == (0, f"{last[:-1]}3")
            centre.log.process.kill()
            mirror.log.wait_for("cannot connect")
        with (
            EventStream(mirror.web_port, last) as events,
            Session(mirror.web_port, WebSocketWire, after=last) as socket,
        ):
            assert events.take().message == b"three"
            assert socket.take() == b"three"


def test_its_figures_say_how_far_it_is_behind() -> None:
    with Relay() as centre, Mirror(centre.subscribe_port) as mirror:
        label = f'{{remote="session:tcp:127.0.0.1:{centre.subscribe_port}",role="mirror"}}'
        publish(centre, b"one")
        wait_for_metric(mirror.web_port, f"relay_reach_messages_total{label}", 1)
        has_all = f"relay_reach_behind_messages{label} 0.0"
        wait_until(lambda: has_all in ask(mirror.web_port, "/metrics")[2].decode(), "a heartbeat says so")
        assert metric(mirror.web_port, f"relay_reach_behind_seconds{label}") < 5
        [row] = rows(mirror.web_port)
        assert (row["role"], row["messages"]) == ("mirror", 1)


@pytest.mark.parametrize("count", [1, 2])
def test_each_of_a_ring_of_mirrors_says_that_it_is_a_loop_and_there_is_no_storm(count: int) -> None:
    ports = [free_port() for _ in range(count)]
    with ExitStack() as stack:
        mirrors = [
            stack.enter_context(Mirror(ports[number - 1], subscribe=f"tcp:{port}", connected=False))
            for number, port in enumerate(ports)
        ]
        for one in mirrors:
            one.log.wait_for(
                "(would be a loop|leads to this relay itself).*; one of the mirrors has to mirror the relay"
            )
        assert all(len(one.log.find("mirror .* connected")) < 5 for one in mirrors)


def test_over_tls_the_authority_is_checked(authority: Authority, stranger: Authority) -> None:
    with Doors(authority.issue("localhost")) as centre:
        remote = ("--mirror", f"tls:localhost:{centre.subscribe_tls_port}")
        with Relay(*remote, "--reach-ca", str(authority.ca), publish="none") as mirror:
            mirror.log.wait_for("mirror .* goes on behind")
            with subscribers(mirror) as [peer]:
                publish(centre, b"one")
                assert receive(peer, 7) == frame(b"one")
        with Relay(*remote, "--reach-ca", str(stranger.ca), publish="none") as mirror:
            mirror.log.wait_for("mirror .* disconnected: .*certificate verify failed")


def test_with_a_shorter_max_message_it_warns_and_a_longer_one_is_a_clear_line() -> None:
    with Relay() as centre, Mirror(centre.subscribe_port, "--max-message", "10") as mirror:
        mirror.log.wait_for("messages may have 99,999 bytes there and 10 here")
        publish(centre, b"is longer than that")
        mirror.log.wait_for("mirror .* disconnected: .*--max-message must be at least 19 here too")
        wait_until(lambda: ready(mirror)[0] == 503, "it is not ready")  # it is for a moment whenever it tries again


@pytest.mark.parametrize(
    ("options", "port", "words"),
    [
        (("--framing", "line"), "subscribe", "this relay has the framing line: sessions need"),
        ((), "publish", "this port is for publishers"),
        ((), "web", "this is an HTTP server"),
    ],
)
def test_what_is_no_relay_to_mirror_is_a_clear_line(options: tuple[str, ...], port: str, words: str) -> None:
    with relay(*options) as (other, web):
        number = web if port == "web" else getattr(other, f"{port}_port")
        with Mirror(number, connected=False) as mirror:
            mirror.log.wait_for(f"mirror .* disconnected: session error, 0 messages, 0 bytes; (it says: )?{words}")
            assert ready(mirror)[0] == 503


def test_it_reloads_and_stops_as_any_relay(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    with Relay() as centre:
        file.write_text(f'[reach]\nmirror = "tcp:127.0.0.1:{centre.subscribe_port}"\n')
        with Relay("--config", str(file), publish="none") as mirror, ExitStack() as stack:
            mirror.log.wait_for("mirror .* goes on behind")
            [peer] = stack.enter_context(subscribers(mirror))
            file.write_text(file.read_text() + "[limits]\nmax-connections = 7\n")
            os.kill(mirror.pid, signal.SIGHUP)
            mirror.log.wait_for("reloaded; changed: max-connections 7")
            file.write_text('[reach]\nmirror = "tcp:127.0.0.1:1"\n')
            os.kill(mirror.pid, signal.SIGHUP)
            mirror.log.wait_for("only after a restart: mirror")
            publish(centre, b"last")
            assert receive(peer, 8) == frame(b"last")
            mirror.log.process.terminate()
            assert ends(peer)
            assert mirror.log.wait_for_end() == 0
            assert not mirror.log.find("Traceback")


def test_check_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    journal = ("--journal", str(tmp_path), "--journal-size", "64MiB")
    for options, status, words in (
        (("--mirror", "tcp:127.0.0.1:8002", *journal), 0, "^ok$"),
        (("--mirror", "tcp:127.0.0.1:8002", "--publish", "tcp:0"), 1, "--publish: not with --mirror: a mirror has"),
        (("--mirror", "127.0.0.1:8002"), 1, "--mirror: '127.0.0.1:8002' is not an endpoint to connect to"),
    ):
        log = start(TWISTD, "-n", "--pidfile=", "relay", *options, "--check")
        assert log.wait_for_end() == status, log.text
        log.wait_for(words)
