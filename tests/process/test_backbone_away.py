"""A relay that was away for longer than its stream reaches back begins anew, and tells its subscribers the loss."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import nats as nats_py
import pytest
from nats.js.api import StreamConfig

from relay.backbone.access import Access
from relay.backbone.start import Beginning, begin
from relay.backbone.stream import BadStream, read_snapshots, snapshot_key, snapshots
from tests.kit.nats import Nats, needs_nats
from tests.kit.process import DEADLINE, Relay, lasting
from tests.kit.session_peers import AcknowledgedPublisher, ResumingSubscriber, position, sized, within

KEPT = 12 * 2**20
"""Bytes that the stream may have: enough for a snapshot or two, which are made each 4 MiB."""


def large(number: int) -> bytes:
    """Message `number`."""
    return sized(number) + bytes(60_000)


async def make_stream(server: str) -> None:
    """Make a stream that is smaller than relays make theirs."""
    client = await nats_py.connect(server)
    config = StreamConfig(name="RELAY", subjects=["RELAY.proposals"], max_bytes=KEPT)
    await client.jetstream().add_stream(config)
    await client.close()


async def forgotten(server: str) -> int:
    """How many messages of the stream are gone, if there is a snapshot for who begins now; else 0."""
    client, access = await nats_py.connect(server), Access((), "RELAY")
    info = await client.jetstream().stream_info("RELAY")
    folds = await read_snapshots(await snapshots(client, access), snapshot_key(info))
    await client.close()
    gone = info.state.first_seq - 1
    return gone if any(fold.sequence >= gone for fold in folds) else 0


async def forget(server: str) -> None:
    """Delete all messages of the stream."""
    client = await nats_py.connect(server)
    await client.jetstream().purge_stream("RELAY")
    await client.close()


def publish(publisher: AcknowledgedPublisher, upto: int) -> None:
    publisher.limit(upto)
    done = within(DEADLINE, lambda: publisher.sent >= upto)
    while publisher.accepted < upto:
        publisher.connect_once(done)


@needs_nats
@pytest.mark.parametrize("away", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "restarted"])
def test_a_relay_that_was_away_too_long_begins_with_a_snapshot_and_tells_exactly_what_is_lost(
    tmp_path: Path, away: signal.Signals
) -> None:
    with Nats(tmp_path) as nats:
        server = f"nats://127.0.0.1:{nats.nodes[0].port}"
        asyncio.run(make_stream(server))
        options = ("--backbone", nats.url())
        with Relay(*options) as one, lasting(*options) as two:
            subscriber = ResumingSubscriber(two.subscribe_port, position(two.subscribe_port))
            publisher = AcknowledgedPublisher(one.publish_port, "p", large)
            publish(publisher, 20)
            subscriber.run(within(DEADLINE, lambda: subscriber.next > 20))
            two.log.process.send_signal(away)
            while asyncio.run(forgotten(server)) < 300:
                publish(publisher, publisher.sent + 40)
            if away is signal.SIGSTOP:
                two.log.process.send_signal(signal.SIGCONT)
                two.log.wait_for("the stream has lost its messages .* Ending, to begin anew from a snapshot")
            assert two.log.wait_for_end() == (1 if away is signal.SIGSTOP else -signal.SIGKILL)
            with Relay(*options, publish=f"tcp:{two.publish_port}", subscribe=f"tcp:{two.subscribe_port}"):
                last = publisher.sent + 10
                publish(publisher, last)
                subscriber.run(within(DEADLINE, lambda: subscriber.next > last))
    got = [number for number, _ in subscriber.messages]
    assert subscriber.messages == [(number, large(number)) for number in got]
    [lost] = subscriber.lost
    assert len(lost) > 200
    assert got == [number for number in range(1, last + 1) if number not in lost]


@needs_nats
def test_one_that_begins_waits_for_a_snapshot_of_what_the_stream_has_forgotten(tmp_path: Path) -> None:
    with Nats(tmp_path) as nats, Relay("--backbone", nats.url(), "--backbone-size", "64MiB") as relay:
        server = f"nats://127.0.0.1:{nats.nodes[0].port}"
        access = Access((server,), "RELAY")
        publisher = AcknowledgedPublisher(relay.publish_port, "p", large)
        publish(publisher, 10)
        asyncio.run(forget(server))
        publish(publisher, 11)
        with pytest.raises(BadStream, match="there is no snapshot of what was before"):
            begin(access, 1000, 1000, "int32", patience=0)
        found: list[Beginning] = []
        beginning = threading.Thread(target=lambda: found.append(begin(access, 1000, 1000, "int32")))
        beginning.start()
        publish(publisher, 100)  # some 6 MB, and so a snapshot
        beginning.join(DEADLINE)
    assert found[0].fold.next > 11
