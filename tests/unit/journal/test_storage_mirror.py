"""A storage that a mirror writes: its epochs are another relay's, and it can begin anew, whatever comes in between."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.anew import Anew
from relay.journal.disk import Disk
from relay.journal.names import FOLLOWS
from relay.journal.segment import Damaged
from relay.journal.storage import Storage
from relay.wire.position import Epoch
from tests.kit.journals import FOLDER, OTHER_BOOT, MemoryDisk, expected, message, open_storage, stored, sync_now, write

FAR, NEAR = Epoch("5289cfdd2847", 1), Epoch("0123456789ab", 400)
ANEW = 500
"""Where it begins anew."""


class Crash(Exception):  # noqa: N818  # it is no error of the disk's
    """The process is gone."""


def mirror(disk: Disk, boot: bytes = bytes(16)) -> Storage:
    return open_storage(disk, boot=boot, mirror=True, segment_size=1000)


def begun(disk: Disk) -> Storage:
    """One that a mirror has begun at message 18."""
    storage = mirror(disk)
    anew(storage, 18, FAR)
    return storage


def anew(storage: Storage, position: int, *epochs: Epoch) -> None:
    begin_anew(storage, Anew(position, epochs))


def begin_anew(storage: Storage, anew: Anew) -> None:
    storage.begun_anew(storage.begin_anew_later(anew, ())(), anew)


class FollowingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk = MemoryDisk()

    def test_a_new_one_is_a_mirrors_and_begins_where_it_is_told(self) -> None:
        storage = mirror(self.disk)
        self.assertEqual((storage.own, storage.next), (False, 1))
        anew(storage, 18, FAR)
        self.assertEqual((storage.oldest, storage.next, storage.synced, storage.epochs), (18, 18, 18, [FAR]))
        write(storage, 50)
        self.assertEqual(stored(storage, self.disk), expected(18, 68))

    def test_neither_a_kill_nor_a_power_cut_begins_an_epoch(self) -> None:
        write(begun(self.disk), 10)
        self.disk.kill()
        self.assertEqual(mirror(self.disk).epochs, [FAR])
        self.disk.cut_power(Random(1))
        storage = mirror(self.disk, OTHER_BOOT)
        self.assertEqual((storage.epochs, storage.next), ([FAR], 28))

    def test_epochs_are_on_disk_before_messages_of_them(self) -> None:
        storage = begun(self.disk)
        write(storage, 3)
        storage.follow([FAR, Epoch(NEAR.name, 21)])
        self.assertTrue(storage.due and storage.full)
        self.disk.kill()
        storage = mirror(self.disk)
        self.assertEqual(storage.epochs, [FAR], "there are none yet")
        storage.follow([FAR, Epoch(NEAR.name, 21)])
        write(storage, 1, sync=False)
        self.assertFalse(storage.due)
        self.disk.kill()
        self.assertEqual(mirror(self.disk).epochs, [FAR, Epoch(NEAR.name, 21)])

    def test_what_is_known_already_begins_no_segment(self) -> None:
        storage = begun(self.disk)
        write(storage, 3)
        storage.follow([FAR])
        self.assertFalse(storage.due)

    def test_a_relay_that_goes_on_by_itself_begins_an_epoch_and_it_is_its_own(self) -> None:
        write(begun(self.disk), 3)
        self.disk.kill()
        storage = open_storage(self.disk, new_epoch=lambda: "own")
        self.assertEqual((storage.epochs, storage.own), ([FAR, Epoch("own", 21)], True))
        self.assertNotIn(FOLLOWS, storage.names)
        self.disk.kill()
        self.assertEqual(len(open_storage(self.disk).epochs), 2)

    def test_an_epoch_of_which_nothing_was_written_is_none_of_its_past(self) -> None:
        """Two messages before it waited for the disk when the mirror was killed."""
        storage = begun(self.disk)
        write(storage, 3)
        storage.follow([FAR, Epoch(NEAR.name, 24)])
        write(storage, 1)
        self.disk.kill()
        storage = open_storage(self.disk, new_epoch=lambda: "own")
        self.assertEqual(storage.epochs, [FAR, Epoch("own", 22)])

    def test_one_that_no_mirror_wrote_is_its_own_until_it_follows_another_relay(self) -> None:
        storage = open_storage(self.disk, new_epoch=lambda: FAR.name)
        write(storage, 30)
        self.disk.kill()
        for _ in range(2):
            storage = mirror(self.disk)
            self.assertEqual((storage.own, storage.epochs), (True, [FAR]))
            self.disk.kill()
        storage = mirror(self.disk)
        storage.follow([FAR])
        write(storage, 1)
        self.disk.kill()
        self.assertFalse(mirror(self.disk).own)

    def test_one_without_messages_belongs_to_nobody(self) -> None:
        open_storage(self.disk)
        self.disk.kill()
        self.assertFalse(mirror(self.disk).own)


class AnewCase(SynchronousTestCase):
    """Where it goes on, in tests of two kinds: behind what is missing, or before what is none of the other relay's."""

    place = Anew(ANEW, [FAR, NEAR])

    def start(self) -> Storage:
        """Messages 18 to 117, three segments of them at least behind message 60."""
        self.disk = MemoryDisk()
        storage = begun(self.disk)
        write(storage, 100)
        self.assertGreater(len(storage.segments) - storage.segments.index(storage.segment(60)), 3)
        return storage

    def crash_at(self, step: int) -> bool:
        """Begin anew, and crash before the call of the disk with that number. Returns whether there was one."""
        storage = self.start()
        calls = 0

        def fail(name: str) -> None:
            nonlocal calls
            calls += 1
            if calls > step:
                raise Crash

        begin = storage.begin_anew_later(self.place, ())
        self.disk.fail = fail
        try:
            begin()
        except Crash:
            return True
        finally:
            self.disk.fail = lambda name: None
        return False

    def found(self, storage: Storage) -> bool:
        """Look at what is found after a crash. Returns whether it has begun anew."""
        raise NotImplementedError

    def check_crashes(self) -> None:
        ways: tuple[Callable[[], object], ...] = (
            lambda: self.disk.kill(),
            *(lambda seed=seed: self.disk.cut_power(Random(seed)) for seed in range(8)),
        )
        for number, happens in enumerate(ways):
            found, step = [], 0
            while self.crash_at(step):
                happens()
                storage = mirror(self.disk, OTHER_BOOT if number else bytes(16))
                self.assertFalse(storage.own)
                found.append(self.found(storage))
                after = storage.next
                write(storage, 3)
                self.assertTrue(stored(storage, self.disk).endswith(expected(after, after + 3)))
                step += 1
            self.assertGreater(step, 10)
            self.assertFalse(found[0])
            self.assertTrue(found[-1] or number, "a kill behind the last step finds it begun")

    def check_failures(self) -> Storage:
        """Each step fails once. Returns what there is in the end."""
        storage = self.start()
        step = 0
        while True:
            calls = 0

            def fail(name: str) -> None:
                nonlocal calls
                calls += 1
                if calls == step + 1:  # noqa: B023  # it is called before the next turn
                    raise OSError(5, "Input/output error")

            self.disk.fail = fail
            try:
                last = storage.begin_anew_later(self.place, ())()
            except OSError:
                step += 1
                continue
            break
        self.disk.fail = lambda name: None
        storage.begun_anew(last, self.place)
        write(storage, 50)
        self.assertEqual(len(self.disk._open), 3, "the lock, the newest segment and the spare")
        return storage


class BehindTests(AnewCase):
    def found(self, storage: Storage) -> bool:
        if storage.next == ANEW:
            self.assertEqual((storage.oldest, storage.epochs), (ANEW, [FAR, NEAR]))
        else:
            self.assertEqual((storage.next, storage.epochs), (118, [FAR]))
            self.assertEqual(stored(storage, self.disk), expected(storage.oldest, 118))
        return storage.next == ANEW

    def test_a_crash_at_any_step_leaves_the_old_end_or_the_new_beginning(self) -> None:
        self.check_crashes()

    def test_what_failed_is_done_again(self) -> None:
        self.assertEqual(stored(self.check_failures(), self.disk), expected(ANEW, ANEW + 50))

    def test_what_was_taken_out_and_is_still_there_goes_too(self) -> None:
        storage = self.start()
        expired = storage.expire(5000, 0)
        self.assertTrue(expired)
        storage.begun_anew(storage.begin_anew_later(self.place, expired)(), self.place)
        names = [name for name in self.disk.list(FOLDER) if name != "lock"]
        self.assertEqual(len(names), 1 + (storage.spare is not None))

    def test_it_goes_on_into_the_spare_that_was_there(self) -> None:
        storage = self.start()
        storage.spare = storage.spare or storage.prepare()
        anew(storage, ANEW, FAR)
        write(storage, 100)
        sync_now(storage)
        self.disk.kill()
        storage = mirror(self.disk)
        self.assertEqual((storage.oldest, storage.next), (ANEW, ANEW + 100))
        self.assertEqual(stored(storage, self.disk), expected(ANEW, ANEW + 100))


class BeforeTests(AnewCase):
    place = Anew(60, [FAR, Epoch(NEAR.name, 60)], keeps=True)

    def found(self, storage: Storage) -> bool:
        self.assertEqual(stored(storage, self.disk), expected(18, storage.next))
        if storage.epochs == [FAR]:
            self.assertGreaterEqual(storage.next, 60)
            return False
        self.assertEqual((storage.next, storage.epochs), (60, self.place.epochs))
        return True

    def test_a_crash_at_any_step_leaves_what_comes_before(self) -> None:
        self.check_crashes()

    def test_what_failed_is_done_again(self) -> None:
        storage = self.check_failures()
        self.assertEqual(stored(storage, self.disk), expected(18, 110))
        self.disk.kill()
        self.assertEqual(mirror(self.disk).next, 110)

    def test_it_may_be_anywhere(self) -> None:
        for position in range(18, 118):
            storage = self.start()
            begin_anew(storage, Anew(position, [FAR], keeps=True))
            self.assertEqual((storage.oldest, storage.next), (18, position))
            self.assertEqual(stored(storage, self.disk), expected(18, position))
            behind = storage.behind(18)
            self.disk.kill()
            storage = mirror(self.disk)
            self.assertEqual(storage.next, position)
            self.assertLess(abs(storage.behind(18) - behind), 300, "what begins a segment")

    def test_a_batch_may_be_cut_in_two(self) -> None:
        self.disk = MemoryDisk()
        storage = begun(self.disk)
        storage.append([message(18) + message(19) + message(20)], 3)
        sync_now(storage)
        begin_anew(storage, Anew(20, [FAR], keeps=True))
        self.assertEqual(stored(storage, self.disk), expected(18, 20))

    def test_what_cannot_be_read_there_is_told_and_left_as_it_is(self) -> None:
        storage = self.start()
        damaged = storage.segment(59)
        self.disk.files[damaged.path].data[damaged.index[0].offset + 50] ^= 1
        begin = storage.begin_anew_later(self.place, ())
        self.assertRaises(Damaged, begin)
        self.assertIn(damaged.path, self.disk.files)
