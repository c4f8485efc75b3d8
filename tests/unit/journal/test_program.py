"""`relay journal`: lists, verifies, prints and repairs a journal in a folder."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from relay.journal.disk import Disk
from relay.journal.program import main, show_time
from tests.kit.folders import temporary_folder
from tests.kit.journals import open_storage, write


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = str(temporary_folder(self))
        self.now = 1_700_000_000_000_000
        self.disk = Disk()
        self.storage = open_storage(self.disk, self.folder, segment_size=406, time=self.time)
        write(self.storage, 14)

    def time(self) -> int:
        self.now += 1_000_000
        return self.now

    def run_program(self, *arguments: str) -> tuple[int, str, str]:
        """Run it on the folder. Returns its status, and what it writes."""
        self.patch(sys, "argv", ["relay journal", self.folder, *arguments])
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors), self.assertRaises(SystemExit) as caught:
            main()
        code = caught.exception.code
        assert isinstance(code, int)
        return code, out.getvalue(), errors.getvalue()

    def damage(self, segment: int, offset: int) -> None:
        path = self.storage.segments[segment].path
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))

    def test_it_lists_the_segments_beside_a_running_relay(self) -> None:
        status, out, _ = self.run_program()
        lines = out.splitlines()
        self.assertEqual((status, len(lines)), (0, 7))
        self.assertIn("messages 5 to 8", lines[1])
        self.assertIn("2023-11-14T", lines[1])
        self.assertIn("is made ready", lines[4])
        self.assertEqual(lines[5], "framing int32, messages of at most 99,999 bytes")
        self.assertEqual(lines[6], "epoch e1  messages 1 to 14")

    def test_messages_in_a_framing_of_ones_own_need_its_class(self) -> None:
        own = "tests.kit.own_framing:Own"
        self.folder = str(temporary_folder(self))
        open_storage(self.disk, self.folder, framing=own, time=self.time).append([b"one.two."], 2)
        status, _, errors = self.run_program("--print", "1")
        self.assertEqual(status, 1)
        self.assertIn(f"has the framing {own}: give it with --framing", errors)
        status, out, _ = self.run_program("--print", "1", "--framing", own)
        self.assertEqual([line.split("\t")[2] for line in out.splitlines()], ["one.", "two."])
        status, _, errors = self.run_program("--print", "1", "--framing", "tests.kit.own_framing:Other")
        self.assertEqual(status, 2)
        self.assertIn("no such class", errors)

    def test_verify_finds_damage_and_ends_with_status_1(self) -> None:
        status, out, _ = self.run_program("--verify")
        self.assertEqual((status, out.splitlines()[-1]), (0, "the journal is whole"))
        self.damage(1, 200)
        self.assertEqual(self.run_program()[0], 0, "a list does not read everything")
        status, out, _ = self.run_program("--verify")
        self.assertEqual(status, 1)
        self.assertIn("journal damaged: " + self.storage.segments[1].path, out)

    def test_it_prints_messages_from_a_number_and_a_position(self) -> None:
        for start in ("7", "5289cfdd2847-7"):
            status, out, _ = self.run_program("--print", start, "--count", "3")
            self.assertEqual(status, 0)
            found = [line.split("\t") for line in out.splitlines()]
            self.assertEqual([number for number, _, _ in found], ["7", "8", "9"])
            self.assertEqual(found[0][2], "7..........")

    def test_it_prints_messages_from_a_time(self) -> None:
        last = datetime.fromtimestamp(self.storage.segments[-1].latest // 1_000_000, UTC)
        status, out, _ = self.run_program("--print", last.isoformat())
        self.assertEqual((status, [line.split("\t")[0] for line in out.splitlines()]), (0, ["14"]))

    def test_it_repairs(self) -> None:
        self.storage.close()
        self.damage(1, 200)
        status, out, _ = self.run_program("--repair")
        self.assertEqual((status, len(out.splitlines())), (0, 2))
        self.assertEqual(self.run_program("--verify")[0], 0)
        self.assertEqual(self.run_program("--repair")[1], "the journal is whole\n")

    def test_it_repairs_nothing_where_there_is_no_journal(self) -> None:
        self.folder = str(temporary_folder(self))
        status, out, errors = self.run_program("--repair")
        self.assertEqual((status, out, self.disk.list(self.folder)), (1, "", []))
        self.assertIn(f"{self.folder} has no journal", errors)

    def test_it_repairs_nothing_beside_a_relay(self) -> None:
        status, _, errors = self.run_program("--repair")
        self.assertEqual(status, 1)
        self.assertIn("stop it first", errors)

    def test_a_folder_that_is_not_there_is_one_line(self) -> None:
        self.folder += "x"
        status, _, errors = self.run_program()
        self.assertEqual((status, len(errors.splitlines())), (1, 1))

    def test_what_is_no_place_to_begin_is_refused(self) -> None:
        for start in ("yesterday", "0001-01-01T00:00:00", "1.5", "5289cfdd2847-"):
            status, _, errors = self.run_program("--print", start)
            self.assertEqual((status, len(errors.splitlines())), (2, 1))
            self.assertIn(f"neither a number, nor a position, nor a time: {start!r}", errors)

    def test_options_that_change_nothing_are_refused(self) -> None:
        for wrong in (("--count", "3"), ("--framing", "line", "--verify")):
            status, _, errors = self.run_program(*wrong)
            self.assertEqual((status, errors.partition(": ")[2].split(" (")[0]), (2, f"{wrong[0]} is for --print"))
        for count in ("0", "-3", "some"):
            self.assertEqual(self.run_program("--print", "1", "--count", count)[0], 2)

    def test_it_says_that_what_was_asked_for_is_gone(self) -> None:
        self.storage.delete(self.storage.expire(1500, 0))
        for start in (1, self.storage.oldest - 1):
            status, out, errors = self.run_program("--print", str(start), "--count", "1")
            self.assertEqual((status, out.split("\t")[0]), (0, str(self.storage.oldest)))
            self.assertEqual(errors, f"relay journal: message {start} is gone: the oldest is {self.storage.oldest}\n")
        self.assertEqual(self.run_program("--print", "0")[2], "", "all that there is")

    def test_times_are_those_of_rfc_3339(self) -> None:
        self.assertEqual(show_time(1_700_000_000_000_001), "2023-11-14T22:13:20.000001Z")
