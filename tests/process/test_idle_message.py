"""A relay that sends silent subscribers a message of its operator's, beside a session and a WebSocket."""

from __future__ import annotations

from relay.wire.control import frame as control_frame
from relay.wire.hello import SubscriberHello
from tests.kit.fakes import frame
from tests.kit.peers import connection, receive
from tests.kit.process import Relay
from tests.kit.wire import Wire

IDLE = frame(b"still here")


def test_who_has_a_session_or_a_websocket_gets_none_and_whoever_is_silent_does() -> None:
    options = ("--idle-seconds", "1", "--idle-message", "still here", "--web", "tcp:0:interface=127.0.0.1")
    with Relay(*options) as relay:
        web = int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])
        with (
            connection(relay.subscribe_port) as silent,
            connection(relay.subscribe_port) as session,
            connection(relay.publish_port) as publisher,
            Wire.subscribed(web) as socket,
        ):
            session.sendall(control_frame(SubscriberHello().write()))
            relay.log.wait_for("begins a session")
            assert receive(silent, 3 * len(IDLE)) == 3 * IDLE
            publisher.sendall(frame(b"message"))
            data = receive(silent, len(IDLE))
            while data.startswith(IDLE):  # one was due just before the message came
                data = data[len(IDLE) :] + receive(silent, len(IDLE))
            assert data.startswith(frame(b"message"))
            assert socket.receive().data == b"message"
            told = session.recv(2**16)
            while frame(b"message") not in told:
                told += session.recv(2**16)
            assert b"still here" not in told
            port = silent.getsockname()[1]
        relay.log.wait_for(f"subscriber 127.0.0.1:{port} disconnected: .*, 1 messages, ")
