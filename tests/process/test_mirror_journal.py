"""Mirrors with a journal, as real processes: they are killed, miss messages, are promoted, and lend to workers."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

from relay.journal.disk import Disk
from relay.journal.inspection import look, messages
from tests.kit.fakes import frame
from tests.kit.journals import open_storage, write
from tests.kit.mirrors import EventStream, Mirror, Session
from tests.kit.peers import connection, ends, receive, receive_all, subscribers
from tests.kit.process import DEADLINE, Relay, free_port, killed, lasting, roomy
from tests.kit.session_peers import PacedFlood, ResumingSubscriber, Witness, check_messages, position, sized, within
from tests.kit.session_wires import TcpWire
from tests.kit.web import ask

COUNT = 8_000
"""Messages of 400 bytes: three times what a buffer of 1 MiB holds."""
LITTLE = ("--buffer", "1MiB")


def journal(folder: Path) -> tuple[str, ...]:
    return ("--journal", str(folder), "--journal-size", "64MiB", *LITTLE)


def message(number: int) -> bytes:
    return (b"%d." % number).ljust(400, b"x")


def publish(relay: Relay, *published: bytes) -> None:
    with connection(relay.publish_port) as publisher:
        publisher.sendall(b"".join(map(frame, published)))
        publisher.shutdown(1)
        assert publisher.recv(1) == b""


def recorded(folder: Path) -> list[tuple[int, bytes]]:
    """All messages on disk, with their positions; nothing there is damaged."""
    assert not [one for one in look(Disk(), str(folder), whole=True) if one.fault or one.gap]
    return [(one.position, one.data) for one in messages(Disk(), str(folder))]


def test_killed_under_load_it_goes_on_behind_what_it_has_and_gives_from_its_disk(tmp_path: Path) -> None:
    port, options = free_port(), journal(tmp_path)
    with ExitStack() as stack:
        centre = stack.enter_context(Relay())
        before = position(centre.subscribe_port)
        mirror = Mirror(centre.subscribe_port, *options, subscribe=f"tcp:{port}")
        resuming = ResumingSubscriber(port, before, patience=8)
        with Witness(centre.subscribe_port) as witness, PacedFlood(centre.publish_port, 2000) as flood:
            done = threading.Event()
            reading = threading.Thread(target=resuming.run, args=(done.is_set,))
            reading.start()
            for _ in range(2):
                witness.wait_for(flood.count + 1000)
                mirror.kill()
                assert not mirror.log.find("Traceback|subscribers end")
                mirror = Mirror(centre.subscribe_port, *options, subscribe=f"tcp:{port}")
            count = flood.stop()
            witness.wait_for(count)
        stack.enter_context(mirror)
        late = ResumingSubscriber(port, before)
        late.run(within(DEADLINE, lambda: len(late.messages) >= count))
        done.set()
        reading.join(DEADLINE)
        resuming.run(within(DEADLINE, lambda: len(resuming.messages) >= count))
        for one in (resuming, late):
            check_messages(one, count)
            assert not one.lost
        assert recorded(tmp_path) == [(number, sized(number)) for number in range(1, count + 1)]


def test_what_it_misses_has_its_journal_begin_anew_and_one_that_reads_it_gets_nothing_wrong(tmp_path: Path) -> None:
    centre, wire = lasting(), TcpWire()
    with ExitStack() as stack:
        stack.enter_context(centre)
        before = position(centre.subscribe_port)
        mirror = stack.enter_context(Mirror(centre.subscribe_port, *journal(tmp_path)))
        second = stack.enter_context(Mirror(mirror.subscribe_port, *LITTLE))
        [silent] = stack.enter_context(subscribers(mirror))
        sent = [message(number) for number in range(1, COUNT + 1)]
        publish(centre, *sent)
        assert receive(silent, COUNT * 404) == b"".join(map(frame, sent))
        reader = stack.enter_context(roomy(mirror.subscribe_port, 8192))
        reader.sendall(wire.hello(after=before))
        data = receive(reader, 100_000)
        centre = stack.enter_context(killed(centre))  # without a journal, it has forgotten all
        mirror.log.wait_for("an unknown number of messages are missing before .*-1; 3 subscribers end")
        second.log.wait_for("subscribers end")
        publish(centre, b"new")
        welcome, *got = wire.receive(data + receive_all(reader))
        assert isinstance(welcome, dict) and welcome["lost"] == 0
        assert len(got) > 200 and got == sent[: len(got)]
        assert ends(silent)
        for one in (mirror, second):
            with Session(one.subscribe_port, after=before) as session:
                assert session.welcome["lost"] is None
                assert session.take() == b"new"
        assert ask(mirror.web_port, "/readyz")[0] == 200
        assert not mirror.log.find("Traceback|publishers wait: (?!the journal's disk is slower)")  # it may be, here
        mirror.stop()
        assert recorded(tmp_path) == [(1, b"new")]


def test_while_the_other_relay_is_away_it_serves_its_history_also_after_a_restart(tmp_path: Path) -> None:
    with Relay() as centre:
        before = position(centre.subscribe_port)
        with Mirror(centre.subscribe_port, *journal(tmp_path)) as mirror, subscribers(mirror) as [silent]:
            sent = [message(number) for number in range(1, COUNT + 1)]
            publish(centre, *sent)
            receive(silent, COUNT * 404)
    with Mirror(centre.subscribe_port, *journal(tmp_path), connected=False) as mirror:
        assert ask(mirror.web_port, "/readyz")[0] == 503
        with Session(mirror.subscribe_port, after=before) as session:
            assert session.welcome["lost"] == 0
            assert [session.take() for _ in sent] == sent
        with EventStream(mirror.web_port, before) as stream:
            assert stream.take().message == sent[0]


def test_the_journal_of_a_dead_centres_mirror_makes_a_centre_and_the_old_one_its_mirror(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    with ExitStack() as stack:
        centre = stack.enter_context(Relay(*journal(old)))
        before = position(centre.subscribe_port)
        mirror = Mirror(centre.subscribe_port, *journal(new))
        with subscribers(mirror) as [silent]:
            publish(centre, b"1", b"2")
            receive(silent, 10)
        centre.log.process.kill()
        mirror.kill()
        promoted = stack.enter_context(Relay(*journal(new)))
        promoted.log.wait_for("journal: a mirror wrote it: a new epoch begins behind message 2")
        publish(promoted, b"3")
        with Session(promoted.subscribe_port, after=before) as session:
            assert [session.take() for _ in range(3)] == [b"1", b"2", b"3"]
            assert (session.welcome["lost"], session.welcome["next"] == f"{before[:-1]}1") == (0, False)
        with (
            Mirror(promoted.subscribe_port, *journal(old)) as mirror,
            Session(mirror.subscribe_port, after=before) as back,
        ):
            assert [back.take() for _ in range(3)] == [b"1", b"2", b"3"]
        assert not mirror.log.find("subscribers end|Traceback")


def test_what_no_mirror_wrote_is_not_deleted_for_a_relay_that_does_not_know_it(tmp_path: Path) -> None:
    storage = open_storage(Disk(), str(tmp_path), segment_size=1 << 20)
    write(storage, 1)
    storage.close()
    with Relay() as centre, Mirror(centre.subscribe_port, *journal(tmp_path), connected=False) as mirror:
        mirror.log.wait_for("mirror .* disconnected: session error, .*; no mirror wrote the journal, .* --journal, or")
        status, _, words = ask(mirror.web_port, "/readyz")
        assert (status, b"give another --journal" in words) == (503, True)
    assert len(recorded(tmp_path)) == 1


def test_workers_of_a_mirror_give_from_its_disk_and_begin_anew_with_it(tmp_path: Path) -> None:
    centre = lasting()
    with ExitStack() as stack:
        stack.enter_context(centre)
        before = position(centre.subscribe_port)
        mirror = stack.enter_context(Mirror(centre.subscribe_port, *journal(tmp_path), "--workers", "1"))
        sent = [message(number) for number in range(1, COUNT + 1)]
        with subscribers(mirror) as [silent]:
            publish(centre, *sent)
            receive(silent, COUNT * 404)
            with Session(mirror.subscribe_port, after=before) as session:
                assert [session.take() for _ in sent] == sent
            centre = stack.enter_context(killed(centre))
            mirror.log.wait_for("an unknown number of messages are missing")
            assert ends(silent)
        publish(centre, *[b"new"] * COUNT)
        with Session(mirror.subscribe_port, after=before) as session:
            assert session.welcome["lost"] is None
            assert [session.take() for _ in sent] == [b"new"] * COUNT
        assert not mirror.log.find("Traceback|has ended")
