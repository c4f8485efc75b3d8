"""A pid file is taken over from a relay that was killed, and not from one that runs."""

from __future__ import annotations

import os
import subprocess
import sys

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.pid_file import take_over
from tests.kit.folders import temporary_folder


class PidFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = temporary_folder(self) / "twistd.pid"

    def running(self, *words: str) -> int:
        """The number of another process, with these words in its command."""
        command = [sys.executable, "-c", "print(flush=True); input()", *words]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        for pipe in (process.stdin, process.stdout):
            self.addCleanup(pipe.close)
        process.stdout.readline()  # before that it may have no command yet
        return process.pid

    def test_one_with_our_own_number_is_removed(self) -> None:
        self.file.write_text(str(os.getpid()))
        take_over(str(self.file))
        self.assertFalse(self.file.exists())

    def test_one_whose_number_is_another_program_s_by_now_is_removed(self) -> None:
        self.file.write_text(str(self.running()))
        take_over(str(self.file))
        self.assertFalse(self.file.exists())

    def test_one_of_a_twistd_that_runs_ends_the_start_with_a_line_that_says_which(self) -> None:
        number = self.running("twistd")
        self.file.write_text(f"{number}\n")
        error = self.assertRaises(UsageError, take_over, str(self.file))
        self.assertIn(f"{self.file}: twistd runs already, as process {number};", str(error))
        self.assertTrue(self.file.exists())

    def test_the_rest_is_twistd_s_own_business(self) -> None:
        take_over(str(self.file))
        for content in ("", "none", str(2**22 + 1)):
            self.file.write_text(content)
            take_over(str(self.file))
            self.assertTrue(self.file.exists(), content)
