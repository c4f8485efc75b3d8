"""Very many very small messages in a journal: what each costs on disk, and that the index does not know them."""

from __future__ import annotations

from pathlib import Path

from relay.journal.disk import Disk
from relay.journal.segment import BLOCK
from relay.journal.storage import segment_size
from tests.kit.journals import open_storage, sync_now


def test_a_message_costs_46_bytes_on_disk_and_none_of_the_index(tmp_path: Path, thorough: bool) -> None:
    """One byte each, and each in a turn of its own: 41 bytes of a record, 4 of the framing, and the message."""
    count = 10_000_000 if thorough else 100_000
    storage = open_storage(Disk(), str(tmp_path), segment_size=segment_size(10 * 2**30))
    for number in range(count):
        if storage.spare is None:
            storage.spare = storage.prepare()
        storage.append([b"\0\0\0\1x"], 1)
        if number % 100_000 == 0:
            sync_now(storage)
    sizes = [segment.size for segment in storage.segments]
    entries = sum(len(segment.index) for segment in storage.segments)
    assert sum(sizes) < 46.1 * count + 1000 * len(sizes)
    assert entries <= sum(size // BLOCK + 1 for size in sizes)
    sync_now(storage)
    storage.close()
