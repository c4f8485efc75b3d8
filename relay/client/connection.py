"""What the two cores have in common: one connection after the other, each with a hello, a welcome and heartbeats.

`docs/protocol.md` has the states of both sides as tables. Here a connection has two: waiting for the welcome, and
welcomed. Whatever ends a connection is its `fault`, which says whether another connection can help.
"""

from __future__ import annotations

from relay.client.errors import ClientError, ConnectionFault, NoSessions, NotARelay, Refused, Replaced, WrongPort
from relay.wire.answer import Answer, Bye, Error, read_answer
from relay.wire.control import BadControl, frame
from relay.wire.framing import MessageTooLong
from relay.wire.hello import PublisherHello, SubscriberHello, read_hello
from relay.wire.printable import escaped
from relay.wire.stream import Piece, SessionStream

UNKNOWN_LIMIT = 128 * 2**20
"""Bytes that a message may have before the welcome tells the relay's limit. What begins with text or with a TLS alert,
as other protocols do, would announce more than 330 MiB."""
MISSED = 3
"""Heartbeats that may be missing before a connection counts as dead."""
GOODBYE = 1.0
"""Seconds that an orderly end may take, in which a TLS server answers; after that the connection is dropped."""
HANDSHAKES = 5
"""TLS handshakes in a row that the server may break off, or not answer, before it counts as one without TLS."""
GRACE = 0.05
"""Seconds after a pause of our own in which to read what came meanwhile, before it is missed."""
SERVERS = {
    b"HTTP": "an HTTP server",
    b"SSH-": "an SSH server",
    b"220 ": "an SMTP or FTP server",
    b"\x15\x03": "a server that speaks TLS, so the client needs TLS too",
    b"\x16\x03": "a server that speaks TLS, so the client needs TLS too",
}
"""The first bytes of servers that are no relay (RFC 9112, 4; RFC 4253, 4.2; RFC 5321, 4.2; RFC 8446, 5.1)."""


def speaker(start: bytes) -> str | None:
    """What a server is whose first bytes are `start`; None if it is not in `SERVERS`."""
    return next((what for first, what in SERVERS.items() if start.startswith(first)), None)


def checked(hello: SubscriberHello | PublisherHello) -> bytes:
    """The body of `hello`. Raises ValueError for one that no relay takes."""
    body = hello.write()
    try:
        read_hello(body)
    except BadControl as error:
        raise ValueError(str(error)) from None
    return body


class Core:
    """Speaks for a client on one connection after the other, without I/O. Times are seconds of a steady clock.

    For each connection call `connected`, and then `receive` with all that comes. When `fault` is set, end the
    connection: a ConnectionFault means that another one may help, a ClientError that none will. Call `check` when
    `deadline` has come, and `closed` when the connection is gone.
    """

    silences = 2
    """Hellos in a row that a server may leave unanswered; with one more, one that never answered has no sessions."""
    ends = 9
    """Connections in a row that a server may end before it answers; after one more, the same."""

    def __init__(self, session: bool, heartbeat: float, max_message: int, welcome_within: float) -> None:
        """`heartbeat`: seconds between two, 0 for none. `max_message`: bytes, for a connection without a session.

        `welcome_within`: seconds that a relay has to answer the hello.
        """
        self.session = session
        self.welcomed = False
        """Whether the relay has answered on this connection; without a session, whether there is a connection."""
        self.ever_welcomed = False
        self.fault: ConnectionFault | ClientError | None = None
        """Why this connection must end; None while it need not."""
        self._heartbeat = heartbeat
        self._max_message = max_message
        self._welcome_within = welcome_within
        self._unanswered = 0  # hellos in a row
        self._deadline: float | None = None
        self._stream = SessionStream(max_message)
        self._heard = 0  # pieces that came on this connection

    def _hello(self) -> bytes:
        """The body of the hello."""
        raise NotImplementedError

    # The connection

    def connected(self, now: float) -> bytes:
        """There is a new connection. Returns what to send first."""
        self.welcomed = not self.session
        self.fault = None
        self._heard = 0
        self._stream = SessionStream(UNKNOWN_LIMIT if self.session else self._max_message)
        self._deadline = now + self._welcome_within if self.session else None
        return frame(self._hello()) if self.session else b""

    @property
    def deadline(self) -> float | None:
        """When to call `check`, unless something comes before; None for never."""
        return self._deadline

    def check(self, now: float) -> None:
        """Look whether the connection is dead. It sets `fault` if it is."""
        if self._deadline is None or now < self._deadline or self.fault:
            return
        if self.welcomed:
            self.fault = ConnectionFault(f"nothing came for {MISSED} heartbeats")
        else:
            # A server that sends messages would have answered, if it could.
            self._not_answered("the relay did not answer the hello in time", 0 if self._heard else self.silences)

    def excuse(self, now: float) -> None:
        """Nothing was read until `now`, for reasons of our own: what came meanwhile must be read before it is missed.

        It moves `deadline` if that is near.
        """
        if self._deadline is not None:
            self._deadline = max(self._deadline, now + GRACE)

    def closed(self, reason: str) -> None:
        """The connection is gone. `reason`: why, for people. It sets `fault`, unless that is set already."""
        if self.fault:
            return
        if self.session and not self.welcomed:
            self._not_answered(reason, self.ends)
        elif not self.session and self._stream.partial:
            cut = f"within a message: {self._stream.partial:,} bytes of it had come"
            self.fault = ConnectionFault(f"{reason}, {cut}")
        else:
            self.fault = ConnectionFault(reason)

    def fail(self, error: ClientError) -> None:
        """No connection can help. It sets `fault`, unless that is set already."""
        self.fault = self.fault or error

    def _not_answered(self, reason: str, most: int) -> None:
        """`most`: hellos in a row that may remain unanswered."""
        self._unanswered += 1
        never = not self.ever_welcomed and self._unanswered > most
        self.fault = NoSessions() if never else ConnectionFault(reason)

    # What comes

    def _split(self, data: bytes, now: float) -> list[Piece]:
        """The runs of messages and control frames that are complete. It sets `fault` if the stream makes no sense."""
        if self.fault:
            return []
        try:
            pieces = self._stream.split(data)
        except MessageTooLong as error:
            pieces = self._stream.pieces
            self.fault = self._senseless(error, first=not (self._heard or pieces))
        self._heard += len(pieces)
        if self.welcomed:
            self._expect(now)
        return pieces

    def _expect(self, now: float) -> None:
        self._deadline = now + MISSED * self._heartbeat if self.session and self._heartbeat else None

    def _senseless(self, error: MessageTooLong, first: bool) -> ConnectionFault | ClientError:
        """What a length over the limit means. `first`: whether it is the first thing that came."""
        looks = speaker(error.start)
        if first and looks:
            return NotARelay(f"this is {looks}: what it sends is no stream of messages")
        if not self.session:
            return Refused(
                f"the server announces {error}: it is no server of messages, or one with "
                "another --framing than int32, or needs a larger max_message"
            )
        if not self.ever_welcomed:
            return NotARelay(f"the server announces {error}: it is no relay, or one with another --framing than int32")
        return ConnectionFault(f"the relay announces {error}")

    def _welcome(self, max_message: int, now: float) -> None:
        self.welcomed = self.ever_welcomed = True
        self._unanswered = 0
        self._stream.limit = max_message
        self._expect(now)

    def _read(self, body: bytes) -> Answer | None:
        """What a control frame says; None if it is not to be heeded. It sets `fault` if the connection ends by it."""
        if not self.session:
            self.fault = Refused("the server announces a message of more than 2 GiB: it is no server of messages")
            return None
        try:
            said = read_answer(body)
        except BadControl as error:
            self.fault = ConnectionFault(f"the relay says what cannot be understood: {error}")
            return None
        match said:
            case Error(message):
                message = escaped(message)
                wrong = message.startswith("this port is for ")
                self.fault = WrongPort(message) if wrong else Refused(message)
            case Bye(reason="replaced"):
                self.fault = Replaced("a newer connection publishes under the same name")
            case Bye(reason=reason, retry=retry):
                self.fault = ConnectionFault(f"the relay ended the connection: {escaped(reason)}", retry)
        return said
