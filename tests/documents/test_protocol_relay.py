"""What docs/protocol.md says that a relay does with sessions, a real relay does."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from relay.wire import control
from relay.wire.counted import HEADER
from tests.kit.events import Event, Parser
from tests.kit.fakes import frame
from tests.kit.peers import connection, receive, receive_all
from tests.kit.process import DEADLINE, Relay
from tests.kit.web import ask
from tests.kit.wire import connect

WEB = ("--web", "tcp:0:interface=127.0.0.1")


@pytest.fixture(scope="module")
def relay() -> Iterator[Relay]:
    with Relay(*WEB, "--frame-timeout", "1") as found:
        yield found


def said(**values: object) -> bytes:
    """A control frame with those keys and values."""
    return control.frame(json.dumps(values).encode())


def subscribe(**values: object) -> bytes:
    return said(relay=1, type="subscribe", **values)


def publish(**values: object) -> bytes:
    return said(relay=1, type="publish", **values)


def hear(peer: socket.socket) -> dict[str, Any]:
    """The control frame that comes next."""
    (header,) = HEADER.unpack(receive(peer, HEADER.size))
    assert control.is_control(header)
    found = json.loads(receive(peer, header - control.CONTROL))
    assert isinstance(found, dict)
    return found


def only(data: bytes) -> dict[str, Any]:
    """The one control frame that `data` is."""
    found = json.loads(data[HEADER.size :])
    assert isinstance(found, dict)
    assert data == control.frame(data[HEADER.size :])
    return found


def web_port(relay: Relay) -> int:
    return int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


BROKEN = {
    "no object": control.frame(b"[]"),
    "empty": control.frame(b""),
    "not UTF-8": control.frame(b'{"relay":1,"type":"\xff"}'),
    "a key twice": control.frame(b'{"relay":1,"relay":1,"type":"subscribe"}'),
    "version": said(relay=2, type="subscribe"),
    "type": said(relay=1, type="listen"),
    "heartbeat": subscribe(heartbeat=0.5),
    "two starts": subscribe(replay=1, since=1),
    "name": subscribe(name="x" * 129),
}


@pytest.mark.parametrize("role", ["publish", "subscribe"])
@pytest.mark.parametrize("hello", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_valid_hello_gets_an_error_in_words_and_an_orderly_end(
    relay: Relay, hello: bytes, role: str
) -> None:
    with connection(getattr(relay, f"{role}_port")) as peer:
        peer.sendall(hello + b"whatever follows")
        answer = only(receive_all(peer))
    assert answer.keys() == {"type", "message"}
    assert answer["type"] == "error"
    relay.log.wait_for(f"{role}.* disconnected: session error")


def test_a_hello_for_the_other_role_is_told_the_right_port(relay: Relay) -> None:
    for port, hello, word in (
        (relay.publish_port, subscribe(), "subscribers connect to tcp:"),
        (relay.subscribe_port, publish(), "publishers connect to tcp:"),
    ):
        with connection(port) as peer:
            peer.sendall(hello)
            assert word in only(receive_all(peer))["message"]


@pytest.mark.parametrize("role", ["publish", "subscribe"])
def test_half_a_hello_is_cut_after_the_frame_timeout(relay: Relay, role: str) -> None:
    with connection(getattr(relay, f"{role}_port")) as peer:
        peer.sendall(subscribe()[:9])
        assert receive_all(peer) == b""
    relay.log.wait_for(f"{role}.* disconnected: frame timeout")


def test_a_second_control_frame_of_a_publisher_is_a_message_too_long(relay: Relay) -> None:
    with connection(relay.publish_port) as peer:
        peer.sendall(publish() + frame(b"one") + publish())
        assert hear(peer)["type"] == "welcome"
        assert hear(peer) == {"type": "ack", "accepted": 1}
        error = only(receive_all(peer))
    assert error["type"] == "error"
    assert "limit of 99,999 bytes" in error["message"]


def test_what_a_subscriber_sends_after_its_hello_is_thrown_away(relay: Relay) -> None:
    with connection(relay.subscribe_port) as peer, connection(relay.publish_port) as publisher:
        peer.sendall(subscribe() + subscribe() + b"noise")
        assert hear(peer)["type"] == "welcome"
        publisher.sendall(frame(b"one"))
        assert receive(peer, 7) == frame(b"one")


def test_a_header_above_those_of_control_frames_is_a_message_too_long(relay: Relay) -> None:
    with connection(relay.publish_port) as peer:
        peer.sendall(HEADER.pack(control.CONTROL + control.MAX_CONTROL + 1) + b"{}")
        assert receive_all(peer) == b""
    relay.log.wait_for("publisher .* disconnected: message too long")


def test_where_a_session_begins_is_what_the_hello_says(relay: Relay) -> None:
    with connection(relay.subscribe_port) as first, connection(relay.publish_port) as publisher:
        first.sendall(subscribe(replay=0))
        epoch, number = hear(first)["next"].split("-")
        publisher.sendall(frame(b"one") + frame(b"two") + frame(b"three"))
        receive(first, 7 + 7 + 9)
        end = int(number) + 3
        for hello, lost, begin in (
            ({}, 0, end),
            ({"after": f"{epoch}-{end - 3}"}, 0, end - 2),
            ({"after": f"{epoch}-{end - 1}"}, 0, end),
            ({"replay": 2}, 0, end - 2),
            ({"replay": 0}, 0, end),
            ({"since": 3600}, 0, None),
            ({"since": "2020-01-01T00:00:00Z"}, 0, None),
            ({"since": "2120-01-01T00:00:00Z"}, 0, end),
            ({"after": f"{epoch}-{end}"}, None, None),
            ({"after": "abc-1"}, None, None),
        ):
            with connection(relay.subscribe_port) as peer:
                peer.sendall(subscribe(**hello))
                welcome = hear(peer)
            expected = begin or welcome["oldest"]
            assert (welcome["lost"], welcome["next"]) == (lost, f"{epoch}-{expected}"), hello


def test_the_welcome_of_a_publisher_counts_by_name(relay: Relay) -> None:
    def accepted(name: str | None, *messages: bytes) -> tuple[int, bool]:
        with connection(relay.publish_port) as peer:
            peer.sendall(publish(name=name) + b"".join(map(frame, messages)))
            welcome = hear(peer)
            peer.shutdown(socket.SHUT_WR)
            last = receive_all(peer)
            if messages:
                assert only(last) == {"type": "ack", "accepted": welcome["accepted"] + len(messages)}
        return welcome["accepted"], welcome["known"]

    assert accepted("sensor", b"1", b"2") == (0, False)
    assert accepted("sensor", b"3") == (2, True)
    assert accepted("sensor") == (3, True)
    assert accepted("another") == (0, False)
    assert accepted(None, b"1") == (0, False)
    assert accepted(None) == (0, False)


def test_the_newest_publisher_of_a_name_has_it(relay: Relay) -> None:
    with connection(relay.publish_port) as older, connection(relay.publish_port) as newer:
        older.sendall(publish(name="mine") + frame(b"1"))
        assert hear(older)["accepted"] == 0
        assert hear(older) == {"type": "ack", "accepted": 1}
        newer.sendall(publish(name="mine"))
        assert hear(newer)["accepted"] == 1
        assert only(receive_all(older)) == {"type": "bye", "reason": "replaced", "accepted": 1}


def test_heartbeats_come_to_both_roles(relay: Relay) -> None:
    with connection(relay.subscribe_port) as subscriber, connection(relay.publish_port) as publisher:
        subscriber.sendall(subscribe(heartbeat=1))
        publisher.sendall(publish(heartbeat=1))
        following = hear(subscriber)["next"]
        assert hear(subscriber) == {"type": "heartbeat", "next": following}
        assert hear(publisher)["type"] == "welcome"
        assert hear(publisher) == {"type": "heartbeat", "accepted": 0}


def test_at_the_stop_both_roles_get_a_bye_after_everything_else() -> None:
    with (
        Relay() as relay,
        connection(relay.subscribe_port) as subscriber,
        connection(relay.publish_port) as publisher,
    ):
        subscriber.sendall(subscribe())
        publisher.sendall(publish())
        epoch, number = hear(subscriber)["next"].split("-")
        hear(publisher)
        publisher.sendall(frame(b"one"))
        assert hear(publisher) == {"type": "ack", "accepted": 1}
        relay.log.process.terminate()
        assert receive(subscriber, 7) == frame(b"one")
        bye = only(receive_all(subscriber))
        assert bye == {"type": "bye", "reason": "shutdown", "next": f"{epoch}-{int(number) + 1}", "retry": bye["retry"]}
        bye = only(receive_all(publisher))
        assert bye == {"type": "bye", "reason": "shutdown", "accepted": 1, "retry": bye["retry"]}


@pytest.mark.parametrize("framing", ["line", "raw"])
def test_other_framings_have_no_sessions_and_say_so(framing: str) -> None:
    with Relay("--framing", framing) as relay:
        for port, hello in ((relay.publish_port, publish()), (relay.subscribe_port, subscribe())):
            with connection(port) as peer:
                peer.sendall(hello)
                assert "int32" in only(receive_all(peer))["message"]


def test_by_websocket_the_welcome_is_first_and_messages_are_binary(relay: Relay) -> None:
    port = web_port(relay)
    with connect(port, "/ws?session&heartbeat=1&name=map-3") as peer, connection(relay.publish_port) as publisher:
        first = peer.recv()
        assert isinstance(first, str)
        welcome = json.loads(first)
        assert welcome["type"] == "welcome"
        epoch, number = welcome["next"].split("-")
        publisher.sendall(frame(b"one"))
        assert peer.recv() == b"one"
        assert json.loads(peer.recv()) == {"type": "heartbeat", "next": f"{epoch}-{int(number) + 1}"}
    with connect(port, f"/ws?session&after={epoch}-{int(number) - 1}") as again:
        assert json.loads(again.recv())["next"] == f"{epoch}-{number}"
        assert again.recv() == b"one"


def test_a_bye_by_websocket_comes_before_the_close() -> None:
    with Relay(*WEB) as relay, connect(web_port(relay), "/ws?session") as peer:
        following = json.loads(peer.recv())["next"]
        relay.log.process.terminate()
        bye = json.loads(peer.recv())
        assert bye == {"type": "bye", "reason": "shutdown", "next": following, "retry": bye["retry"]}


@pytest.mark.parametrize(
    "query", ["session&after=x", "session&heartbeat=0.5", "session&text", "session&replay=1&since=1", "after=x"]
)
def test_a_query_that_cannot_be_understood_is_status_400_and_a_sentence(relay: Relay, query: str) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as refused:
        connect(web_port(relay), f"/ws?{query}")
    assert refused.value.response.status_code == 400
    assert len(refused.value.response.body or b"") > 10


def first_event(port: int, path: str, **headers: str) -> Event:
    """The first event of a stream."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        asked.request("GET", path, headers=headers)
        answer = asked.getresponse()
        assert answer.status == 200
        parser = Parser()
        while not (found := parser.feed(answer.read1(65536))):
            pass
        return found[0]
    finally:
        asked.close()


def test_events_begin_where_the_query_says(relay: Relay) -> None:
    port = web_port(relay)
    with connection(relay.subscribe_port) as peer, connection(relay.publish_port) as publisher:
        peer.sendall(subscribe())
        welcome = hear(peer)
        epoch, number = welcome["next"].split("-")
        publisher.sendall(frame(b"one") + frame(b"two"))
        receive(peer, 7 + 7)
    before, one = f"{epoch}-{int(number) - 1}", f"{epoch}-{number}"
    assert first_event(port, f"/events?after={before}") == Event("text", "one", one)
    assert first_event(port, f"/events?after={one}").data == "two"
    assert first_event(port, f"/events?after={before}", **{"Last-Event-ID": one}).data == "two"
    assert first_event(port, "/events?after=abc-1").kind == "restarted"
    assert first_event(port, "/events?since=3600").id == f"{epoch}-{welcome['oldest']}"
    assert ask(port, "/events?since=yesterday")[0] == 400
