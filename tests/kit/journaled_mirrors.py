"""Mirrors with a journal, for tests: the disk is in memory, and threads and clock run when the test says so."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.error import ConnectionDone

from relay.core.budget import Budget
from relay.core.hub import Hub
from relay.core.log import Log
from relay.core.past import Past
from relay.core.pending import Journaled
from relay.core.start import Starts
from relay.daemon.journal import JournalKeeper, fill, recall
from relay.journal.inspection import messages
from relay.reach.mirror import Mirror
from relay.wire.answer import Answer, SubscriberWelcome
from relay.wire.counted import Int32
from relay.wire.hello import SubscriberHello
from relay.wire.position import Epoch, Position
from tests.kit.fakes import FakeSubscriber
from tests.kit.journals import BOOT, FOLDER, MemoryDisk, Threads, Ticking, epochs, open_journal, open_storage
from tests.kit.remotes import FAR, SESSION, RemoteCase
from tests.kit.sessions import parts

SEGMENT = 1000
"""Bytes of a segment: a few batches."""


NEAR = "0123456789ab"
"""Another epoch."""


def welcome(
    following: int, *epochs: tuple[str, int], lost: int | None = 0, ahead: int = 0, behind: int = 0
) -> SubscriberWelcome:
    """What the other relay says whose first message here is `following`."""
    known = tuple(Epoch(*one) for one in epochs or ((FAR, 1),))
    return SubscriberWelcome(
        Position(known[-1].name, following), 1, lost, 40, "relay", ahead, epochs=known, behind=behind
    )


def numbered(first: int, after: int) -> list[bytes]:
    """Messages that say their positions."""
    return [b"%d" % number for number in range(first, after)]


class JournaledMirrorCase(RemoteCase):
    """A mirror, and the other relay at which the test sits. `restart` is another process on the same disk."""

    buffer = 16 * 1024
    """Bytes of memory for messages: some twenty batches are kept."""

    def setUp(self) -> None:
        self.disk, self.time, self.boot = MemoryDisk(), Ticking(), BOOT
        self.new_epoch = epochs()
        self.begin()

    def begin(self, mirror: bool = True, replay: int = 0) -> None:
        """A process starts. `mirror`: whether it is one. `replay`: as in `Hub`."""
        self.threads = Threads()
        self.mirrors, self.replay = mirror, replay
        super().setUp()
        starts = self.sessions.starts
        starts.epochs, starts.shared = self.journal.epochs, mirror
        self.around = replace(self.around, journal=self.journal)
        if mirror:
            self.mirrored = self.mirror()

    def restart(self, mirror: bool = True, replay: int = 0) -> None:
        """The process is killed, and another one starts."""
        self.disk.kill()
        self.begin(mirror, replay)

    def make_hub(self) -> Hub:
        keeper = JournalKeeper(self.intake, self.ended)
        storage = open_storage(
            self.disk,
            boot=self.boot,
            time=self.time,
            new_epoch=self.new_epoch,
            segment_size=SEGMENT,
            max_message=40,
            mirror=self.mirrors,
        )
        self.journal = open_journal(storage, self.disk, keeper, self.threads, self.clock, self.time, size=1 << 20)
        chunks = recall(storage, self.disk, self.buffer // 2)
        log = Log(Int32.ends, chunks[0].first if chunks else storage.next)
        fill(log, chunks, lambda: self.now, self.time())
        hub = Hub(
            log,
            Budget(self.buffer),
            self.intake,
            call_soon=self.turns.call_soon,
            clock=lambda: self.now,
            pending=Journaled(True, self.journal),
            replay=self.replay,
        )
        keeper.flush_hub = hub.flush
        hub.past = keeper.past = Past(hub, self.journal.reader, Int32.ends, lambda: self.now, self.unreadable)
        return hub

    def mirror(self) -> Mirror:
        mirror = Mirror(SESSION, self.around)
        mirror.start()
        return mirror

    def ended(self, status: int) -> None:
        raise AssertionError(f"the process ended with {status}")

    def unreadable(self, error: Exception) -> None:
        raise AssertionError(f"cannot be read: {error}")

    def settle(self) -> None:
        """Turns, threads and moments until the journal has done what is due."""
        for _ in range(200):
            self.turns.run_all()
            self.threads.run()
            if not (self.journal.trouble or self.turns.run() or self.threads.due):
                return
            self.clock.advance(0.01)
        raise AssertionError(f"it does not come to rest: {self.journal.trouble}")

    def recorded(self) -> list[tuple[int, bytes]]:
        """All messages that are on disk, with their positions."""
        return [(one.position, one.data) for one in messages(self.disk, FOLDER)]


class TalkingMirrorCase(JournaledMirrorCase):
    """The same, in words: what the other relay says, and what subscribers of the mirror are given."""

    def hello(self) -> dict[str, object]:
        """What was said on the newest connection."""
        said = parts(self.wire.value())[0]
        assert isinstance(said, dict)
        return said

    def say(self, *said: Answer | bytes) -> None:
        """The other relay says this, each on its own, as soon as it is read."""
        for one in said:
            self.settle()
            self.wire.say(one)
        self.settle()

    def reconnect(self) -> None:
        self.wire.end(ConnectionDone())
        self.clock.advance(1)

    def subscriber(self, counts: bool = False) -> FakeSubscriber:
        """One that is connected now; one that `counts` has a session."""
        subscriber = FakeSubscriber(self.hub)
        subscriber.counts = counts
        return subscriber

    def session(self, after: int, epoch: str = FAR) -> FakeSubscriber:
        """One that comes back with that position, and reads all that it is given."""
        hello = SubscriberHello(after=Position(epoch, after))
        self.assertFalse(self.starts.early(hello))
        subscriber = self.subscriber(counts=True)
        first = self.starts.first(self.starts.find(hello))
        self.hub.move(subscriber.subscription, first, b"")
        self.settle()
        return subscriber

    def read(self, subscriber: FakeSubscriber) -> list[object]:
        self.settle()
        return list(parts(bytes(subscriber.received)))

    @property
    def starts(self) -> Starts:
        return self.sessions.starts

    def recorded(self) -> list[tuple[int, bytes]]:
        self.settle()
        return super().recorded()
