"""The WebSocket protocol (RFC 6455) as far as a relay needs it, without I/O: the handshake, and what a peer sends.

`relay.wire.websocket` makes the frames for messages to the peer. What the peer sends is parsed by wsproto and then
discarded, except for pings and the end: a subscriber has nothing else to say.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass

from h11 import ProtocolError
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, RejectConnection, TextMessage
from wsproto.frame_protocol import CloseReason as Code
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError as HandshakeError

from relay.wire.close_reason import CloseReason

MAX_MESSAGE = 4096
"""Bytes that a message from the peer may have. Its content is discarded."""
KEY = 16
"""Bytes of a handshake's key (RFC 6455, section 4.1). It is checked here, because wsproto takes any."""
KEY_HEADER = b"sec-websocket-key"
CODES = {
    CloseReason.SHUTDOWN: Code.GOING_AWAY,
    CloseReason.OVERRUN: Code.TRY_AGAIN_LATER,
    CloseReason.STALLED: Code.TRY_AGAIN_LATER,
    CloseReason.ERROR: Code.INTERNAL_ERROR,
}
"""Status codes for close reasons of ours (RFC 6455, section 7.4; TRY_AGAIN_LATER is 1013 in IANA's registry)."""


class Refused(Exception):  # noqa: N818  # the name says what happened
    """A request for a WebSocket that cannot be granted."""

    def __init__(self, status: int, why: str) -> None:
        """`status`: of the HTTP response. `why`: its text."""
        super().__init__(why)
        self.status = status


def accept(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The complete response to a handshake request with `headers`. Raises Refused if they are not those of one."""
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        if any(len(b64decode(key, validate=True)) != KEY for name, key in headers if name.lower() == KEY_HEADER):
            raise Refused(400, "no WebSocket handshake: the key is not 16 bytes")
        handshake.initiate_upgrade_connection(list(headers), b"/")
        return handshake.send(AcceptConnection())
    except Base64Error as error:
        raise Refused(400, f"no WebSocket handshake: the key is not base64: {error}") from None
    except UnicodeError:
        raise Refused(400, "no WebSocket handshake: a header is not ASCII") from None
    except (ProtocolError, HandshakeError) as error:
        hint = getattr(error, "event_hint", None)
        status = hint.status_code if isinstance(hint, RejectConnection) else 400
        raise Refused(status, f"no WebSocket handshake: {error}") from None


def close(reason: CloseReason) -> bytes:
    """The close frame that tells a peer why its connection ends."""
    return Connection(ConnectionType.SERVER).send(CloseConnection(CODES.get(reason, Code.NORMAL_CLOSURE), reason))


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of what a peer sends."""

    reason: CloseReason
    answer: bytes
    """The last thing to send to the peer: a close frame."""
    why: str = ""
    """What the peer did wrong, for an operator; empty if it did nothing wrong."""


class Input:
    """Parses what one peer sends."""

    def __init__(self) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._size = 0  # bytes so far of a message that is not complete

    def receive(self, data: bytes) -> tuple[bytes, Closed | None]:
        """Parse the next bytes. Returns the answer to the last ping among them, empty if there was none, and the end.

        The end is None as long as the peer may send more.
        """
        pong = b""
        self._connection.receive_data(data)
        for event in self._connection.events():
            match event:
                case Ping():
                    pong = self._connection.send(Pong(event.payload))
                case TextMessage() | BytesMessage():
                    data_ = event.data.encode() if isinstance(event.data, str) else event.data
                    self._size += len(data_)
                    if self._size > MAX_MESSAGE:
                        return pong, self._end(Code.MESSAGE_TOO_BIG, f"a message of more than {MAX_MESSAGE:,} bytes")
                    if event.message_finished:
                        self._size = 0
                case CloseConnection() if self._connection.state is ConnectionState.REMOTE_CLOSING:
                    return pong, Closed(CloseReason.PEER_CLOSED, self._connection.send(event.response()))
                case CloseConnection():
                    detail = f": {event.reason}" if event.reason else ""
                    return pong, self._end(event.code, f"what no WebSocket client may send{detail}")
        return pong, None

    def _end(self, code: int, why: str) -> Closed:
        reason = CloseReason.MESSAGE_TOO_LONG if code == Code.MESSAGE_TOO_BIG else CloseReason.PROTOCOL_ERROR
        return Closed(reason, self._connection.send(CloseConnection(code, reason)), f"it sent {why}")
