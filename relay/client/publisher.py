"""The core of a publisher: keeps messages until they are acknowledged, and sends them again if need be. No I/O.

Messages have tokens: 1 for the first of this publisher, and so on. The relay counts those of a name, over all its
connections, and those of a connection without one. `_base` is the difference of the two counts.
"""

from __future__ import annotations

from collections import deque

from relay.client.connection import GRACE, Core, checked
from relay.client.errors import ConnectionFault
from relay.wire.answer import Ack, Bye, Heartbeat, PublisherWelcome
from relay.wire.counted import HEADER, Int32
from relay.wire.framing import Buffer, Frames
from relay.wire.hello import PublisherHello


class PublisherCore(Core):
    """One publisher, over all its connections."""

    ends = 4  # a relay without sessions ends a publisher that says hello; but one that is full ends connections, too

    heard = 0
    """Messages that came: a relay sends none to a publisher."""

    def __init__(
        self,
        *,
        session: bool = True,
        heartbeat: float = 10,
        name: str = "",
        max_message: int = 99_999,
        welcome_within: float = 30,
        ack_within: float | None = 30,
    ) -> None:
        """`name`: under which messages are counted over all connections; empty for none. The others: as for `Core`.

        A relay whose publishers have to wait (`--slow block`) reads no hello meanwhile, hence the long
        `welcome_within`. `ack_within`: seconds that a relay may take to acknowledge anything of what it was sent, None
        for as long as it likes. Heartbeats do not tell: they come also over a path that takes nothing in our direction,
        and from a relay whose publishers have to wait. So the limit is for publishers with a name only, who may come
        back without doubling a message. Raises ValueError for what no relay would take.
        """
        super().__init__(session, heartbeat, max_message, welcome_within)
        self.accepted: int | None = None
        """Messages that the relay has accepted under our name (without one: on this connection), as last heard."""
        self.acknowledged = 0
        """The token up to which all messages are acknowledged."""
        self.uncertain = 0
        """Messages that were sent again although the relay may have accepted them: it had lost its count of them."""
        self.unacknowledged = 0
        """Bytes of all frames that wait for an ack."""
        self.limit = max_message
        """Bytes that a message may have, as far as is known."""
        self._named = bool(name)
        self._hello_body = checked(PublisherHello(heartbeat, name))
        self._ack_within = ack_within if session and name else None
        self._ack_by: float | None = None  # when the next ack must have come
        self._last = 0  # the token given last
        self._sent = 0  # the token up to which all messages were sent, on this connection
        self._ever_sent = 0  # the same, on any connection since the relay began to count
        self._base = 0
        # Frames that are not acknowledged, each with the token of its last message.
        self._waiting: deque[tuple[int, Frames]] = deque()
        self._unsent: deque[tuple[int, Frames]] = deque()  # those of `_waiting` that were not sent on this connection

    def _hello(self) -> bytes:
        return self._hello_body

    def connected(self, now: float) -> bytes:
        hello = super().connected(now)
        self._ack_by = None
        if not self.session:
            self._resend()
        return hello

    @property
    def deadline(self) -> float | None:
        return min((time for time in (self._deadline, self._ack_by) if time is not None), default=None)

    def check(self, now: float) -> None:
        super().check(now)
        if self.fault is None and self._ack_by is not None and now >= self._ack_by:
            self.fault = ConnectionFault(f"the relay acknowledged nothing for {self._ack_within:g} s")

    def excuse(self, now: float) -> None:
        super().excuse(now)
        if self._ack_by is not None:
            self._ack_by = max(self._ack_by, now + GRACE)

    # What is to be published

    def publish(self, message: bytes) -> int:
        """Take a message. Returns its token. Raises ValueError if it is too long for the relay."""
        if len(message) > self.limit:
            raise ValueError(f"a message of {len(message):,} bytes: the relay takes {self.limit:,} at most")
        data = HEADER.pack(len(message)) + message
        return self.publish_frames(Frames(data, 1, len(data)))

    def publish_frames(self, frames: Frames) -> int:
        """Take whole frames, as they are on the wire. Returns the token of the last message."""
        self._last += frames.messages
        self.unacknowledged += len(frames.data)
        entry = self._last, frames
        self._waiting.append(entry)
        self._unsent.append(entry)
        return self._last

    def take(self, now: float, size: int = 256 * 1024) -> list[Buffer]:
        """What to send next: at least `size` bytes, or all that there is. Nothing before the welcome.

        It may move `deadline`.

        Without a session, what is taken counts as acknowledged, because nothing better will ever be known.
        """
        found: list[Buffer] = []
        total = 0
        while self.welcomed and self._unsent and total < size:
            last, frames = self._unsent.popleft()
            found.append(frames.data)
            total += len(frames.data)
            self._sent = last
        self._ever_sent = max(self._ever_sent, self._sent)
        if not self.session and found:
            self._acknowledge(self._sent)
        if found and self._ack_by is None:
            self._expect_ack(now)
        return found

    @property
    def idle(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._waiting

    # What the relay says

    def receive(self, data: bytes, now: float) -> None:
        """Take what came: `welcomed`, `acknowledged` and `fault` say what it was. Messages are ignored."""
        for piece in self._split(data, now):
            if isinstance(piece, bytes):
                self._heed(piece, now)
            else:
                self.heard += piece.messages

    def _heed(self, body: bytes, now: float) -> None:
        match self._read(body):
            case PublisherWelcome(accepted=accepted, known=known, max_message=limit) if not self.welcomed:
                first = not self.ever_welcomed
                self._welcome(limit, now)
                self.limit = limit
                self._begin(accepted, known, first)
            case Ack(accepted=accepted) if self.welcomed:
                self._accept(accepted, now)
            case Heartbeat(accepted=accepted) | Bye(accepted=accepted) if self.welcomed and accepted is not None:
                self._accept(accepted, now)

    def _begin(self, accepted: int, known: bool, first: bool) -> None:
        token = accepted - self._base
        counted = self._named and known and self.acknowledged <= token <= self._ever_sent
        if not counted:
            if not first:
                self.uncertain += self._ever_sent - self.acknowledged
            self._base = accepted - self.acknowledged
            self._ever_sent = self.acknowledged
        self.accepted = accepted
        self._acknowledge(accepted - self._base)
        self._resend()

    def _accept(self, accepted: int, now: float) -> None:
        """The relay says that the first `accepted` messages of ours are accepted."""
        token = accepted - self._base
        if self.acknowledged <= token <= self._sent:
            self.accepted = accepted
            if token > self.acknowledged:
                self._acknowledge(token)
                self._expect_ack(now)
        else:
            expected = f"{self._base + self.acknowledged:,} to {self._base + self._sent:,}"
            self.fault = ConnectionFault(
                f"the relay says that it accepted {accepted:,} messages, which is not {expected}"
            )

    def _expect_ack(self, now: float) -> None:
        waits = self._ack_within is not None and self._sent > self.acknowledged
        self._ack_by = now + self._ack_within if waits and self._ack_within is not None else None

    def _acknowledge(self, token: int) -> None:
        if token <= self.acknowledged:
            return
        self.acknowledged = token
        while self._waiting and self._waiting[0][0] <= token:
            _, frames = self._waiting.popleft()
            self.unacknowledged -= len(frames.data)

    def _resend(self) -> None:
        """Send, on this connection, all that is not acknowledged."""
        if self._waiting:
            last, frames = self._waiting[0]
            done = self.acknowledged - (last - frames.messages)
            if done > 0:  # a part of these is acknowledged
                rest = bytes(frames.data[Int32.ends(frames.data)[done - 1] :])
                self.unacknowledged -= len(frames.data) - len(rest)
                self._waiting[0] = last, Frames(rest, frames.messages - done, len(rest))
        self._sent = self.acknowledged
        self._unsent = deque(self._waiting)


class Counts:
    """What a publication tells of its messages."""

    _publisher: PublisherCore

    @property
    def accepted(self) -> int | None:
        """Messages that the relay has accepted under our name, as last heard.

        When the publication begins it is the number of those that were accepted before. None until it is welcomed, and
        without a session.
        """
        return self._publisher.accepted

    @property
    def acknowledged(self) -> int:
        """Messages of this publication that are acknowledged."""
        return self._publisher.acknowledged

    @property
    def uncertain(self) -> int:
        """Messages that were sent again although the relay may have accepted them: it had lost its count of them.

        They may have been published twice. 0 as long as a named publisher talks to a relay that knows it.
        """
        return self._publisher.uncertain
