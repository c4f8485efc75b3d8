"""Unix sockets are tried: what keeps one from being made is told, and nothing is left of those that can be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relay.net.ports import CannotStart
from relay.net.rehearsal import rehearse
from tests.kit.folders import temporary_folder


class RehearsalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = temporary_folder(self)

    def rehearse(self, *endpoints: str) -> str:
        """Why one of them cannot be made, empty if all can. Nothing changes in the folder, nor which one it is."""
        before, here = self.files(), os.getcwd()
        try:
            rehearse([("publish", endpoint) for endpoint in endpoints], str(self.folder))
        except CannotStart as error:
            return str(error).removeprefix("relay cannot start: --publish ")
        finally:
            self.assertEqual((self.files(), os.getcwd()), (before, here))
        return ""

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def test_what_can_be_made_leaves_nothing(self) -> None:
        self.assertEqual(self.rehearse("unix:a", f"unix:{self.folder / 'b'}:mode=600", "haproxy:unix:c:lockfile=0"), "")

    def test_other_endpoints_are_passed_over(self) -> None:
        self.assertEqual(self.rehearse("tcp:8001", "systemd:domain=UNIX:name=a"), "")

    def test_a_folder_that_is_not_there(self) -> None:
        for endpoint in ("unix:none/a", "unix:none/a:lockfile=0"):
            self.assertIn("none", self.rehearse("unix:b", endpoint))

    def test_a_file_that_is_no_socket(self) -> None:
        (self.folder / "a").write_text("precious")
        reason = "a is there already: remove it, if nobody needs it"
        for endpoint in ("unix:a", "unix:a:lockfile=0"):
            self.assertEqual(self.rehearse(endpoint), f"{endpoint}: {reason}")

    def test_a_path_that_is_too_long(self) -> None:
        self.assertEqual(self.rehearse(f"unix:{'x' * 120}"), f"unix:{'x' * 120}: {'x' * 120}: AF_UNIX path too long")

    def test_the_same_twice(self) -> None:
        self.assertEqual(self.rehearse("unix:a", "unix:a"), "unix:a: a is taken, by --publish of this relay")

    def test_one_that_somebody_serves(self) -> None:
        with socket.socket(socket.AF_UNIX) as serving:
            serving.bind(str(self.folder / "a"))
            serving.listen()
            (self.folder / "a.lock").symlink_to(str(os.getppid()))
            self.assertIn("unix:a: a is taken, by ", self.rehearse("unix:a"))
            self.assertIn("unix:a:lockfile=0: a is there already", self.rehearse("unix:a:lockfile=0"))
