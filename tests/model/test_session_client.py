"""The client library's cores against naive relays: whatever is cut, lost or forgotten, and in whatever pieces."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from relay.client.events import Gap, Run
from relay.client.publisher import PublisherCore
from relay.client.subscriber import SubscriberCore
from relay.wire.answer import Ack, Answer, Heartbeat, PublisherWelcome, SubscriberWelcome
from relay.wire.answer import Gap as GapAnswer
from relay.wire.control import frame as control
from relay.wire.counted import HEADER
from relay.wire.framing import Frames
from relay.wire.hello import SubscriberHello, read_hello
from relay.wire.position import Position
from tests.kit.fakes import frame

EPOCHS = ["aa", "bb", "cc", "dd"]


def said(answer: Answer) -> bytes:
    return control(answer.write())


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in pieces of `size` bytes; 0: in one."""
    size = size or max(1, len(data))
    return (data[start : start + size] for start in range(0, len(data), size))


def text(epoch: str, number: int) -> bytes:
    """A message that says where it stands, of a length that varies."""
    return f"{epoch}-{number}".encode() + b"." * (number % 7)


# Subscribers


class Log:
    """The messages of a relay, which remembers the last ones."""

    def __init__(self) -> None:
        self.epoch, self.last, self.oldest = 0, 0, 1

    @property
    def name(self) -> str:
        return EPOCHS[self.epoch]

    def position(self, number: int) -> Position:
        return Position(self.name, number)

    def welcome(self, after: Position | None) -> SubscriberWelcome:
        if after is None:
            first, lost = self.last + 1, 0
        elif after.epoch != self.name or after.number > self.last:
            first, lost = self.oldest, None
        else:
            first = max(self.oldest, after.number + 1)
            lost = first - after.number - 1
        return SubscriberWelcome(self.position(first), self.oldest, lost, 100, "relay")

    def session(self, first: int, skip: int) -> bytes:
        """What a session is sent from message `first` on. `skip`: how many of the next ones it misses."""
        parts = []
        if skip and first + skip <= self.last:
            parts.append(said(GapAnswer(skip, self.position(first + skip))))
            first += skip
        for number in range(first, self.last + 1):
            parts.append(frame(text(self.name, number)))
            if number % 3 == 0:
                parts.append(said(Heartbeat(next=self.position(number + 1))))
        return b"".join(parts)


connections = st.lists(
    st.fixed_dictionaries(
        {
            "published": st.integers(0, 6),
            "forgotten": st.integers(0, 4),
            "restarted": st.sampled_from([False, False, False, True]),
            "early": st.integers(0, 2),
            "skip": st.sampled_from([0, 0, 1, 3]),
            "cut": st.floats(0, 1),
            "size": st.sampled_from([0, 1, 3, 17]),
        }
    ),
    max_size=12,
)


def account(events: list[Run | Gap], begin: Position) -> Position:
    """Check that nothing is missing in silence and nothing comes twice; returns the position of the last message."""
    at = begin
    for event in events:
        if isinstance(event, Gap):
            assert not event.repeats or event.lost is None
            following = event.position
            if event.lost is None:
                assert following.epoch != at.epoch
            else:
                assert following == Position(at.epoch, at.number + event.lost + 1)
            at = Position(following.epoch, following.number - 1)
            continue
        for message in event.messages():
            assert message.position == Position(at.epoch, at.number + 1)
            assert message.data == text(message.position.epoch, message.number)
            at = message.position
    return at


@given(connections)
def test_a_subscriber_misses_nothing_in_silence_and_gets_nothing_twice(steps: list[dict[str, int]]) -> None:
    log, core = Log(), SubscriberCore(after=Position(EPOCHS[0], 0))
    events: list[Run | Gap] = []
    for step in steps:
        if step["restarted"] and log.epoch + 1 < len(EPOCHS):
            epoch = log.epoch + 1
            log = Log()
            log.epoch = epoch
        log.last += step["published"]
        log.oldest = min(log.last + 1, log.oldest + step["forgotten"])
        hello = read_hello(core.connected(0.0)[HEADER.size :])
        assert isinstance(hello, SubscriberHello)
        welcome = log.welcome(hello.after)
        stream = frame(b"not of the session") * step["early"] + said(welcome)
        stream += log.session(welcome.next.number, step["skip"])
        for data in chunks(stream[: round(len(stream) * step["cut"])], step["size"]):
            events += core.receive(data, 0.0)
        assert core.fault is None
        core.closed("cut")
    assert account(events, Position(EPOCHS[0], 0)) == core.position


# Publishers


class Count:
    """What a relay knows of a publisher's name, and the messages that it has accepted."""

    def __init__(self) -> None:
        self.accepted, self.known = 0, False
        self.messages: list[bytes] = []

    def welcome(self) -> bytes:
        answer = PublisherWelcome(self.accepted, self.known, "relayed", "aa", 100, "relay")
        self.known = True
        return said(answer)

    def read(self, data: bytes) -> None:
        """Accept what is whole."""
        while len(data) >= HEADER.size and len(data) >= (end := HEADER.size + HEADER.unpack_from(data)[0]):
            self.messages.append(data[HEADER.size : end])
            self.accepted += 1
            data = data[end:]

    def forget(self) -> None:
        self.accepted, self.known = 0, False


publishing = st.lists(
    st.fixed_dictionaries(
        {
            "messages": st.integers(0, 5),
            "run": st.booleans(),
            "sent": st.floats(0, 1),
            "heard": st.booleans(),
            "more": st.integers(0, 3),
            "size": st.sampled_from([0, 1, 3, 17]),
            "forgets": st.sampled_from([False, False, False, True]),
        }
    ),
    max_size=12,
)


def put(core: PublisherCore, first: int, count: int, run: bool) -> int:
    """Publish `count` messages, one by one or in one run. Returns the number of the next one."""
    messages = [text("aa", number) for number in range(first, first + count)]
    if run and messages:
        data = b"".join(map(frame, messages))
        core.publish_frames(Frames(data, count, len(data)))
    else:
        for message in messages:
            core.publish(message)
    return first + count


def converse(core: PublisherCore, relay: Count, step: dict[str, int], following: int) -> int:
    """One connection. Returns the number of the next message to be published."""
    core.connected(0.0)
    following = put(core, following, step["messages"], bool(step["run"]))
    for data in chunks(relay.welcome(), step["size"]):
        core.receive(data, 0.0)
    data = b"".join(map(bytes, core.take(0.0)))
    relay.read(data[: round(len(data) * step["sent"])])
    if step["heard"]:
        for piece in chunks(said(Ack(relay.accepted)), step["size"]):
            core.receive(piece, 0.0)
    following = put(core, following, step["more"], False)
    assert core.fault is None
    core.closed("cut")
    return following


def finish(core: PublisherCore, relay: Count) -> None:
    """A connection over which everything goes."""
    core.connected(0.0)
    core.receive(relay.welcome(), 0.0)
    relay.read(b"".join(map(bytes, core.take(0.0))))
    core.receive(said(Ack(relay.accepted)), 0.0)
    assert core.idle and core.unacknowledged == 0


@given(publishing)
def test_a_relay_that_knows_a_publisher_gets_every_message_once_and_in_order(steps: list[dict[str, int]]) -> None:
    core, relay, following = PublisherCore(name="a"), Count(), 1
    for step in steps:
        following = converse(core, relay, step, following)
    finish(core, relay)
    assert relay.messages == [text("aa", number) for number in range(1, following)]
    assert (core.uncertain, core.acknowledged) == (0, following - 1)


@given(publishing)
def test_one_that_forgets_gets_every_message_and_what_comes_twice_was_counted(steps: list[dict[str, int]]) -> None:
    core, relay, following = PublisherCore(name="a"), Count(), 1
    for step in steps:
        following = converse(core, relay, step, following)
        if step["forgets"]:
            relay.forget()
    finish(core, relay)
    wanted = [text("aa", number) for number in range(1, following)]
    assert set(relay.messages) == set(wanted)
    assert list(dict.fromkeys(relay.messages)) == wanted, "the first copies are in order"
    assert len(relay.messages) - len(wanted) <= core.uncertain


@given(publishing)
def test_without_a_name_every_message_comes_and_what_comes_twice_was_counted(steps: list[dict[str, int]]) -> None:
    core, relay, following = PublisherCore(), Count(), 1
    for step in steps:
        following = converse(core, relay, step, following)
        relay.forget()
    finish(core, relay)
    wanted = [text("aa", number) for number in range(1, following)]
    assert list(dict.fromkeys(relay.messages)) == wanted
    assert len(relay.messages) - len(wanted) <= core.uncertain
