"""The core of a subscriber: counts messages, resumes where it stopped, and tells of every gap. It does no I/O."""

from __future__ import annotations

from datetime import datetime

from relay.client.connection import Core, checked
from relay.client.errors import ConnectionFault
from relay.client.events import Gap, Run
from relay.wire.answer import Gap as GapAnswer
from relay.wire.answer import Heartbeat, SubscriberWelcome
from relay.wire.framing import Frames
from relay.wire.hello import SubscriberHello
from relay.wire.position import Position


class SubscriberCore(Core):
    """One subscriber, over all its connections."""

    def __init__(
        self,
        *,
        session: bool = True,
        after: Position | str | None = None,
        replay: int | None = None,
        since: float | datetime | None = None,
        heartbeat: float = 10,
        name: str = "",
        max_message: int = 99_999,
        welcome_within: float = 5,
    ) -> None:
        """`after`, `replay`, `since`, `heartbeat`, `name`: as in `relay.wire.hello.SubscriberHello`.

        `replay` and `since` serve until the first welcome: after that the subscriber goes on where it stopped. The
        other parameters are as for `Core`. Raises ValueError for what no relay would take.
        """
        super().__init__(session, heartbeat, max_message, welcome_within)
        after = Position.parse(after) if isinstance(after, str) else after
        self._hello_first = SubscriberHello(after, replay, since, heartbeat, name)
        checked(self._hello_first)
        if not session and (after, replay, since) != (None, None, None):
            raise ValueError("without a session there is no place to begin at: after, replay and since need one")
        self.position = after
        """The position up to which everything was returned, to go on behind it; None if there is none yet."""
        self.began: Position | None = after
        """The position before the first message of all; None if it is not known yet."""
        self._number = 0  # messages so far, without a session
        self._sure = after  # the last position at which the relay counted as we did
        self._repeats = False  # whether we went back to `_sure`

    def begin_behind(self, position: Position) -> None:
        """Begin behind `position`, whatever was wanted. To be called before the first connection."""
        self.position = self.began = self._sure = position

    def _hello(self) -> bytes:
        if self.position is None:
            return self._hello_first.write()
        return SubscriberHello(
            after=self.position, heartbeat=self._hello_first.heartbeat, name=self._hello_first.name
        ).write()

    def receive(self, data: bytes, now: float) -> list[Run | Gap]:
        """Take what came. Returns messages and gaps, in order; `fault` may be set after them."""
        found: list[Run | Gap] = []
        if self.fault is not None:
            return found
        pieces = self._split(data, now)
        before = self.fault
        for piece in pieces:
            if isinstance(piece, Frames):
                if self.welcomed:
                    found.append(self._count(piece))
            else:
                gap = self._heed(piece, now)
                if gap is not None:
                    found.append(gap)
                if self.fault is not before:
                    return found  # what follows has no meaning
        if before is not None and self.session and self.welcomed:
            self._go_back()  # the stream made no sense
        return found

    def _count(self, frames: Frames) -> Run:
        if self.position is None:  # only without a session
            self._number += frames.messages
            return Run(frames, None, self._number - frames.messages + 1)
        epoch, number = self.position.epoch, self.position.number
        self.position = Position(epoch, number + frames.messages)
        return Run(frames, epoch, number + 1)

    def _heed(self, body: bytes, now: float) -> Gap | None:
        said = self._read(body)
        match said:
            case None if self.fault is not None and self.welcomed:
                self._go_back()
            case SubscriberWelcome() if not self.welcomed:
                self._welcome(said.max_message, now)
                return self._begin(said)
            case GapAnswer(lost=lost, next=following) if self.welcomed:
                if self._agrees(following, lost):
                    self._stand_before(following)
                    return Gap(lost, following)
            case Heartbeat(next=following) if self.welcomed and following is not None:
                if self._agrees(following, 0):
                    self._sure = self.position
        return None

    def _begin(self, welcome: SubscriberWelcome) -> Gap | None:
        """Go on with the first message behind a welcome. Returns what is missing before it."""
        before, following, repeats = self.position, welcome.next, self._repeats
        self._repeats = False
        self._stand_before(following)
        if before is None:
            self.began = self.position
            return None
        if before.epoch != following.epoch:
            whole = welcome.lost == 0 and not welcome.ahead
            return None if whole else Gap(welcome.lost, following, ahead=welcome.ahead)
        missing = following.number - before.number - 1
        if repeats or missing < 0:
            return Gap(welcome.lost, following, repeats=True)
        if welcome.lost is None:
            return Gap(None, following)
        return Gap(missing, following) if missing else None

    def _stand_before(self, following: Position) -> None:
        self.position = self._sure = Position(following.epoch, following.number - 1)

    def _agrees(self, following: Position, lost: int) -> bool:
        """Whether we count as the relay does: its next message is `following`, and `lost` are missing before that."""
        assert self.position is not None
        if following == Position(self.position.epoch, self.position.number + lost + 1):
            return True
        self.fault = ConnectionFault(f"the relay says that {following} comes next, but we have {self.position}")
        self._go_back()
        return False

    def _go_back(self) -> None:
        """Our count may be wrong: go on, with the next connection, where it was right the last time."""
        self.position, self._repeats = self._sure, True
