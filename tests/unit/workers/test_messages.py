"""Messages between a relay and its workers: what one process says is what the other hears."""

from __future__ import annotations

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import Config, configure
from relay.config.setting import Given
from relay.core.journal import Chunk
from relay.core.slow import SLOW_POLICIES
from relay.wire.close_reason import CloseReason
from relay.workers.messages import (
    Ask,
    Begin,
    Borrow,
    Change,
    Connect,
    Connected,
    Counted,
    Find,
    Found,
    Held,
    Kept,
    Lent,
    Logged,
    Ready,
    Refuse,
    Report,
    Settings,
    Stop,
    decode,
    encode,
)
from tests.kit.snapshots import NOW


def configured(slow: str, log_level: str = "info") -> Config:
    return configure({"slow": Given("--slow", [slow]), "log-level": Given("--log-level", [log_level])})


class MessageTests(SynchronousTestCase):
    def test_every_kind_comes_as_it_was_sent(self) -> None:
        for message in (
            Begin("1", Settings(configure({}), {"/a.pem": b"PEM"}), 7, (4, 5), Kept(1, 1, 100, 50, 1.5)),
            Lent(3, "5289cfdd2847", Chunk(3, 5, b"frames", None, [(7, 3)])),
            Lent(3, "5289cfdd2847", None, gone=True, error="older"),
            Found(1, 17),
            Borrow(3, "5289cfdd2847"),
            Find(1, 2.5),
            Connect(),
            Change(Settings(configured(slow="skip"), {})),
            Ask(1),
            Ask(2, 3),
            Refuse("192.0.2.1", CloseReason.ADDRESS_LIMIT),
            Stop(2.5),
            Connected(),
            Ready(),
            Counted(("192.0.2.1", None), ()),
            Held(True),
            Logged("warn", {"log_format": "{peer} left", "peer": "1"}, ""),
            Report(NOW, 1.5, 2**20),
        ):
            self.assertEqual(decode(encode(message)), message)

    def test_of_policies_and_levels_there_is_one_object_in_either_process(self) -> None:
        for name, policy in SLOW_POLICIES.items():
            change = decode(encode(Change(Settings(configured(slow=name, log_level="warn"), {}))))
            assert isinstance(change, Change)
            self.assertIs(change.settings.config.slow, policy)
            self.assertIs(change.settings.config.log_level, LogLevel.warn)
