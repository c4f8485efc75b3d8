"""What a machine cannot do is known before it is tried; what may be there by the time it is tried is no obstacle."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from relay.config.config import configure
from relay.config.setting import Given
from relay.net.obstacles import obstacles
from tests.kit.folders import temporary_folder


class ObstacleTests(SynchronousTestCase):
    def found(self, *endpoints: str) -> list[str]:
        return obstacles(configure({"publish": Given("--publish", list(endpoints))}))

    def test_a_machine_that_can_listen_has_none(self) -> None:
        folder = temporary_folder(self)
        own = "tcp:0:interface=127.0.0.1"
        self.assertEqual(self.found(own, f"haproxy:{own}", f"unix:{folder / 's'}:mode=600"), [])

    def test_an_address_of_another_machine(self) -> None:
        for endpoint in ("tcp:0:interface=192.0.2.77", "haproxy:tcp:port=0:interface=192.0.2.77"):
            self.assertEqual(
                self.found(endpoint), [f"publish: {endpoint}: no interface of this machine has that address"]
            )

    def test_a_name_that_is_none(self) -> None:
        [line] = self.found("tcp:0:interface=no-such-name.invalid")
        self.assertTrue(line.startswith("publish: tcp:0:interface=no-such-name.invalid: cannot listen on port 0: "))

    def test_a_folder_that_is_not_there(self) -> None:
        folder = temporary_folder(self) / "none"
        for endpoint in (f"unix:{folder / 's'}", f"unix:address={folder / 's'}"):
            self.assertEqual(self.found(endpoint), [f"publish: {endpoint}: {folder}: there is no such folder"])

    def test_a_port_that_somebody_has_at_the_moment_is_none(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.assertEqual(self.found(f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"), [])
