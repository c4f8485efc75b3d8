"""SIGHUP, to a real relay under load."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.doors import Doors, dial
from tests.kit.fakes import frame
from tests.kit.healthy import Healthy
from tests.kit.process import DEADLINE, Relay

RELOADS = 200


def reload(relay: Relay, count: int) -> str:
    """Have it reload for the `count`th time; returns what it says of it."""
    os.kill(relay.pid, signal.SIGHUP)
    return relay.log.wait_for("reloaded; |reload failed", count).string


@pytest.mark.alone
def test_200_reloads_with_alternating_certificates_lose_no_connection(tmp_path: Path) -> None:
    """One in five is broken, and leaves the newest good one in force."""
    authority = Authority(tmp_path)
    certificates = [authority.issue("localhost", f"number-{number}.example") for number in range(2)]
    file = tmp_path / "current.pem"

    def install(content: bytes) -> None:
        new = tmp_path / "new.pem"
        new.write_bytes(content)
        new.replace(file)

    install(certificates[0].read_bytes())
    with Doors(file) as relay, Healthy(relay) as healthy:
        with (
            dial(relay.subscribe_tls_port, authority.client()) as subscriber,
            dial(relay.publish_tls_port, authority.client()) as publisher,
        ):
            relay.log.wait_for("publisher .* connected", 2)
            good = certificates[0].read_bytes()
            for number in range(1, RELOADS + 1):
                broken = number % 5 == 0
                if not broken:
                    good = certificates[number % 2].read_bytes()
                install(good[: len(good) // 3] if broken else good)
                said = reload(relay, number)
                assert ("reload failed, everything stays as it was: certificate: " in said) is broken, said
                with dial(relay.subscribe_tls_port, authority.client()) as newcomer:
                    shown = newcomer.getpeercert(binary_form=True)
                    assert shown is not None
                    assert ssl.DER_cert_to_PEM_cert(shown).encode() in good
            publisher.sendall(frame(b"still here"))
            received = b""
            while frame(b"still here") not in received:
                received += subscriber.recv(2**16)
        healthy.stop()
        assert len(relay.log.find("reload failed")) == RELOADS // 5


def knock(port: int) -> None:
    """Connect where nobody is let in: the reset may come before the kernel has told us of the connection."""
    with suppress(ConnectionResetError), socket.create_connection(("127.0.0.1", port), DEADLINE):
        pass


@pytest.mark.alone
def test_limits_and_policies_change_while_it_runs_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("buffer = '4MiB'\n")
    with Relay("--config", str(file)) as relay, Healthy(relay, buffer=4 * 2**20):
        file.write_text("buffer = '8MiB'\nslow = 'skip'\n[limits]\nallow-subscribers = ['192.0.2.0/24']\n")
        said = reload(relay, 1)
        assert "changed: slow skip, allow-subscribers 192.0.2.0/24; only after a restart: buffer" in said
        knock(relay.subscribe_port)
        relay.log.wait_for("subscriber .* refused: address not allowed")
        file.write_text("slow = 'skip'\n[limits]\nallow-subscriber = []\n")
        said = reload(relay, 2)
        assert f"{file}: limits.allow-subscriber: there is no such setting" in said
        knock(relay.subscribe_port)
        relay.log.wait_for("subscriber .* refused: address not allowed", 2)
