"""A relay with a journal that is killed: nothing accepted is lost, nothing comes twice, and the epoch goes on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from random import Random

from relay.client.asyncio import publication, subscription
from relay.client.backoff import Backoff
from relay.client.events import Message
from relay.client.retry import Retry
from relay.journal.disk import Disk
from relay.journal.inspection import look, messages
from tests.kit.journals import open_storage, write
from tests.kit.process import DEADLINE, TWISTD, Relay, free_port, start

SEED = 7


def soon() -> Retry:
    return Retry(backoff=Backoff(first=0.01, most=0.1))


def test_killed_at_random_moments_under_load_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The publisher has a name, the subscriber resumes: both see one unbroken stream, whatever happens to the relay."""
    random = Random(SEED)
    publish, subscribe = f"tcp:{free_port()}", f"tcp:{free_port()}"
    options = ("--journal", str(tmp_path), "--journal-size", "64MiB")
    sent = [b"%d " % number + bytes(number % 500) for number in range(12_000)]
    found: list[bytes] = []
    epochs: set[str] = set()

    async def read(first: Relay, begun: asyncio.Event) -> None:
        relay = subscription(port=first.subscribe_port, heartbeat=1, retry=soon())
        reading = asyncio.ensure_future(anext(relay))
        while relay.position is None:
            await asyncio.sleep(0.01)
        begun.set()
        while len(found) < len(sent):
            message = await reading
            assert isinstance(message, Message), f"{message} behind {len(found)} messages (seed {SEED})"
            found.append(message.data)
            assert message.position is not None
            epochs.add(message.position.epoch)
            if len(found) < len(sent):
                reading = asyncio.ensure_future(anext(relay))
        await relay.aclose()

    async def play(stack: ExitStack, server: Relay) -> None:
        begun = asyncio.Event()
        reading = asyncio.create_task(read(server, begun))
        await begun.wait()

        async def send() -> None:
            async with publication(
                port=server.publish_port, name="steady", heartbeat=1, ack_within=2, retry=soon()
            ) as relay:
                for number, message in enumerate(sent):
                    await relay.send(message)
                    if number % 100 == 99:
                        await asyncio.sleep(0.01)
                await relay.drain()
                assert relay.uncertain == 0

        sending = asyncio.create_task(send())
        running = server
        for _ in range(4):
            await asyncio.sleep(random.uniform(0.05, 0.4))
            running.log.process.kill()
            running.log.process.wait()
            running = await asyncio.to_thread(Relay, *options, publish=publish, subscribe=subscribe)
            stack.enter_context(running)
        await sending
        await reading

    with ExitStack() as stack:
        server = stack.enter_context(Relay(*options, publish=publish, subscribe=subscribe))
        asyncio.run(asyncio.wait_for(play(stack, server), 4 * DEADLINE))
        assert [one.data for one in messages(Disk(), str(tmp_path))] == sent
    assert found == sent
    assert len(epochs) == 1
    assert not [one for one in look(Disk(), str(tmp_path), whole=True) if one.fault or one.gap]


def test_a_second_relay_on_the_same_journal_ends_with_one_line(tmp_path: Path) -> None:
    with Relay("--journal", str(tmp_path)):
        ports = ("--publish", "tcp:0", "--subscribe", "tcp:0")
        log = start(TWISTD, "-n", "--pidfile=", "relay", *ports, "--journal", str(tmp_path))
        assert log.wait_for_end() == 1
        assert f"relay cannot start: another relay uses the journal {tmp_path}" in log.text
        assert "Traceback" not in log.text


def test_a_reader_that_has_enough_or_ctrl_c_ends_the_command_without_a_word(tmp_path: Path) -> None:
    storage = open_storage(Disk(), str(tmp_path), segment_size=1 << 20)
    write(storage, 5000, size=200)
    storage.close()
    command = (str(Path(TWISTD).with_name("relay")), "journal", str(tmp_path), "--print", "1")
    log = start("bash", "-o", "pipefail", "-c", '"$0" "$@" | head -n 1', *command)
    assert log.wait_for_end() == 0
    assert [line.split("\t")[0] for line in log.text.splitlines()] == ["1"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline().startswith(b"1\t")
    running.send_signal(signal.SIGINT)  # while it waits for the reader of what it prints
    _, errors = running.communicate(timeout=DEADLINE)
    assert (running.returncode, errors) == (130, b"")
