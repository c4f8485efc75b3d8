"""A relay with a journal that is killed again and again: every message is there, once, in order, in one epoch."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from pathlib import Path

from tests.kit.process import DEADLINE, Relay, free_port
from tests.kit.session_peers import AcknowledgedPublisher, ResumingSubscriber, position, sized, within

KILLS = 200
"""How often the relay is killed with `--thorough`; a fifth of that without."""
LIFE = 0.2
"""Seconds that a relay lives at most once it is there."""
PUBLISHERS = 3


def of(publisher: int, number: int) -> bytes:
    """Message `number` of a publisher."""
    return b"%d:" % publisher + sized(number)


def test_kills_lose_and_double_nothing(tmp_path: Path, thorough: bool) -> None:
    kills = KILLS if thorough else KILLS // 5
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)
    publish, subscribe = f"tcp:{free_port()}", f"tcp:{free_port()}"
    up, over = threading.Event(), threading.Event()

    def paced() -> bool:
        """Whether it is over; asked between two attempts, too, which are to wait until there is a relay."""
        while not (up.wait(0.01) or over.is_set()):
            pass
        return over.is_set()

    relay = Relay("--journal", str(tmp_path), publish=publish, subscribe=subscribe)
    subscriber = ResumingSubscriber(relay.subscribe_port, position(relay.subscribe_port))
    publishers = [
        AcknowledgedPublisher(relay.publish_port, f"p{number}", partial(of, number)) for number in range(PUBLISHERS)
    ]
    reached = threading.Event()
    threads = [threading.Thread(target=one.run, args=(paced,), daemon=True) for one in publishers]
    listening = threading.Thread(target=subscriber.run, args=(reached.is_set,), daemon=True)
    up.set()
    for thread in (*threads, listening):
        thread.start()
    try:
        for _ in range(kills):
            time.sleep(chance.random() * LIFE)
            up.clear()
            relay.log.process.kill()
            relay.log.wait_for_end()
            relay = Relay("--journal", str(tmp_path), publish=publish, subscribe=subscribe)
            up.set()
        over.set()
        for thread in threads:
            thread.join(DEADLINE)
            assert not thread.is_alive(), "a publisher is not told that all is accepted"
        sent = sum(one.sent for one in publishers)
        arrived = within(DEADLINE, lambda: len(subscriber.messages) >= sent)
        while not arrived():
            time.sleep(0.01)
    finally:
        reached.set()
        listening.join(DEADLINE)
        relay.stop()
    assert not subscriber.lost
    assert [number for number, _ in subscriber.messages] == list(range(1, sent + 1))
    for number, publisher in enumerate(publishers):
        own = [message for _, message in subscriber.messages if message.startswith(b"%d:" % number)]
        assert own == [of(number, message) for message in range(1, publisher.sent + 1)]
        assert publisher.sent > kills
