"""A relay with a journal whose disk is slow, full, broken or gone: it says so, and nothing accepted is lost."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.fakes import frame
from tests.kit.flood import MIB, flood
from tests.kit.healthy import Healthy
from tests.kit.peers import connection, receive
from tests.kit.process import DEADLINE, Relay, free_port, wait_until
from tests.kit.session_peers import AcknowledgedPublisher
from tests.kit.under import Under, tool
from tests.kit.web import WEB_PORT, ask, metric

SLOW = 40e6
"""Bytes a second of a slow disk."""
MESSAGE = frame(bytes(64 * 1024))

OnDisk = Callable[..., Relay]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes a process see a slow or broken disk."""
    compiler = tool("cc", "gcc")
    library = tmp_path_factory.mktemp("shim") / "slow_disk.so"
    source = Path(__file__).parent.parent / "kit" / "slow_disk.c"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def on_disk(shim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    """Starts a relay whose journal is on such a disk."""

    def begin(*options: str, rate: float = 1e12) -> Relay:
        (tmp_path / "journal").mkdir()
        with monkeypatch.context() as environment:
            environment.setenv("LD_PRELOAD", str(shim))
            environment.setenv("SLOW_DISK_RATE", str(rate))
            environment.setenv("SLOW_DISK_LONGEST", str(tmp_path / "longest"))
            environment.setenv("SLOW_DISK_BROKEN", str(tmp_path / "broken"))
            return Relay("--journal", str(tmp_path / "journal"), *options)

    return begin


def web_port(relay: Relay) -> int:
    return int(relay.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


@pytest.mark.alone
def test_a_flood_beyond_the_disks_speed_goes_at_the_disks_pace_and_nobody_waits_long(
    on_disk: OnDisk, tmp_path: Path, thorough: bool
) -> None:
    seconds = 60 if thorough else 4
    with on_disk(*WEB_PORT, rate=SLOW) as relay:
        flood(relay.publish_port, 4 * MIB)  # all files are open that it has open when it runs
        with Healthy(relay) as healthy:
            begin = time.monotonic()
            flood(relay.publish_port, int(SLOW * seconds))
            took = time.monotonic() - begin
            unsynced = metric(web_port(relay), "relay_journal_unsynced_bytes")
            found = healthy.stop()
    print(f"{SLOW * seconds / took / 1e6:.0f} MB/s, {found}, longest write {(tmp_path / 'longest').read_text()} us")
    assert took > 0.7 * seconds, "it was not the disk's pace"
    assert unsynced < 64 * MIB


def test_a_sync_that_fails_ends_it_with_status_1_and_what_was_accepted_is_there(
    on_disk: OnDisk, tmp_path: Path
) -> None:
    relay = on_disk()
    publisher = AcknowledgedPublisher(relay.publish_port, "p", lambda number: b"%d" % number)
    ended = threading.Event()
    publishing = threading.Thread(target=publisher.run, args=(ended.is_set,), daemon=True)
    publishing.start()
    wait_until(lambda: publisher.accepted >= 1000, "something is accepted")
    (tmp_path / "broken").touch()
    relay.log.wait_for("the journal cannot be synced: .*Input/output error")
    assert relay.log.wait_for_end() == 1
    accepted = publisher.accepted
    publisher.sent = accepted  # it need not wait for the rest
    ended.set()
    publishing.join(DEADLINE)
    expected = b"".join(frame(b"%d" % number) for number in range(1, accepted + 1))
    with (
        Relay("--journal", str(tmp_path / "journal"), "--replay", "10000000") as again,
        connection(again.subscribe_port) as peer,
    ):
        assert receive(peer, len(expected)) == expected


def test_a_journal_whose_files_are_gone_holds_publishers_until_they_are_back(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    with (
        Relay(*WEB_PORT, "--journal", str(folder)) as relay,
        connection(relay.subscribe_port) as reader,
        connection(relay.publish_port) as publisher,
    ):
        publisher.sendall(MESSAGE)
        receive(reader, len(MESSAGE))
        folder.rename(tmp_path / "elsewhere")
        relay.log.wait_for(f"publishers wait: the journal's files are gone from {folder}")
        publisher.sendall(frame(b"later"))
        status, _, body = ask(web_port(relay), "/readyz")
        assert (status, "gone" in body.decode()) == (503, True)
        (tmp_path / "elsewhere").rename(folder)
        assert receive(reader, len(frame(b"later"))) == frame(b"later")
        assert ask(web_port(relay), "/readyz")[0] == 200


def test_a_full_disk_holds_publishers_and_it_goes_on_by_itself_when_there_is_room(tmp_path: Path) -> None:
    unshare, web = tool("unshare", "util-linux"), free_port()
    script = f'mount -t tmpfs -o size=20m relay {tmp_path} && exec "$@"'
    if subprocess.run([unshare, "-m", "sh", "-c", script, "sh", "true"], check=False).returncode:
        pytest.skip("may not mount a file system of its own here")
    options = ("--journal", str(tmp_path), "--journal-size", "64MiB", "--web", f"tcp:{web}:interface=127.0.0.1")
    with Under(unshare, "-m", "sh", "-c", script, "sh", options=options) as relay:
        filler = Path(f"/proc/{relay.pid}/root{tmp_path}/filler")
        filler.write_bytes(bytes(12 * MIB))
        with connection(relay.subscribe_port) as reader, connection(relay.publish_port) as publisher:
            publishing = threading.Thread(target=publisher.sendall, args=(MESSAGE * 160,), daemon=True)
            publishing.start()
            wait_until(lambda: b"No space left on device" in ask(web, "/readyz")[2], "it says that it is full")
            filler.unlink()
            assert receive(reader, 160 * len(MESSAGE)).endswith(MESSAGE * 160)
            wait_until(lambda: ask(web, "/readyz")[0] == 200, "it is ready again")
            assert relay.log.find("publishers wait: the journal cannot be written: No space left on device")
