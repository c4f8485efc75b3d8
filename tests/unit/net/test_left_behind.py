"""What a killed relay leaves of a Unix socket is cleared away; what somebody serves, or will, is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relay.net.left_behind import YOUNG, clear
from tests.kit.folders import temporary_folder


class ClearTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = temporary_folder(self) / "s"
        self.lock = Path(f"{self.path}.lock")

    def leave(self, process: int, age: float = 60.0) -> None:
        """A socket that nobody serves, and the lock of that process."""
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.path))
        self.lock.symlink_to(str(process))
        now = os.lstat(self.lock).st_mtime
        os.utime(self.lock, (now - age, now - age), follow_symlinks=False)

    def left(self) -> tuple[bool, bool]:
        return os.path.lexists(self.path), os.path.lexists(self.lock)

    def test_the_lock_of_a_process_with_this_number_or_with_any_other_is_cleared_if_nobody_answers(self) -> None:
        for process, age in ((os.getpid(), 0.0), (os.getppid(), 2 * YOUNG), (1, 2 * YOUNG), (2**22 + 1, 0.0)):
            self.leave(process, age)
            clear(f"unix:{self.path}:mode=600")
            self.assertEqual(self.left(), (False, False), process)

    def test_a_lock_without_its_socket_and_a_socket_without_its_lock_are_cleared_too(self) -> None:
        for missing in (self.path, self.lock):
            self.leave(os.getpid())
            missing.unlink()
            clear(f"haproxy:unix:address={self.path}")
            self.assertEqual(self.left(), (False, False), missing)

    def test_what_somebody_serves_stays(self) -> None:
        self.leave(os.getpid())
        self.path.unlink()
        with socket.socket(socket.AF_UNIX) as serving:
            serving.bind(str(self.path))
            serving.listen()
            clear(f"unix:{self.path}")
        self.assertEqual(self.left(), (True, True))

    def test_what_another_process_is_about_to_serve_stays(self) -> None:
        self.leave(os.getppid(), 0.0)
        clear(f"unix:{self.path}")
        self.assertEqual(self.left(), (True, True))

    def test_a_file_that_is_no_socket_stays(self) -> None:
        self.path.write_text("precious")
        clear(f"unix:{self.path}")
        self.assertEqual(self.path.read_text(), "precious")

    def test_other_endpoints_have_nothing_to_clear(self) -> None:
        for endpoint in (
            "tcp:8001",
            "",
            "unix",
            "unix:",
            "tcp6:8001:interface=\\:\\:1",
            f"unix:{self.path}:lockfile=0",
        ):
            clear(endpoint)
