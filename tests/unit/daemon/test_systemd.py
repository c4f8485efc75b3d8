"""What is told to the service manager, read from the other end of its socket."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import unittest

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.systemd import NotifySocket, Supervisor, supervisor
from tests.kit.fakes import said
from tests.kit.folders import temporary_folder


class Listener:
    """The manager's end."""

    def __init__(self, case: SynchronousTestCase, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        case.addCleanup(self.socket.close)

    def read(self) -> list[str]:
        """All that was told since the last time."""
        told = []
        with contextlib.suppress(BlockingIOError):
            while True:
                told.append(self.socket.recv(4096).decode())
        return told


class NotifySocketTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = str(temporary_folder(self) / "notify")
        self.manager = Listener(self, self.path)
        self.notify = NotifySocket(self.path, clock=lambda: 12.345678)

    def test_each_message_is_one_datagram_in_the_words_of_sd_notify(self) -> None:
        self.notify.status("starting")
        self.notify.ready()
        self.notify.alive()
        self.notify.reloading()
        self.notify.stopping(7.5)
        self.assertEqual(
            self.manager.read(),
            [
                "STATUS=starting",
                "READY=1",
                "WATCHDOG=1",
                "RELOADING=1\nMONOTONIC_USEC=12345678",
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=7500000",
            ],
        )

    def test_a_status_is_one_line_whatever_is_in_it(self) -> None:
        self.notify.status("one\nREADY=1\r\ntwo \udcff")
        self.assertEqual(self.manager.read(), ["STATUS=one READY=1 two ?"])

    def test_an_at_sign_is_an_abstract_socket(self) -> None:
        name = f"relay-test-{os.getpid()}"
        if sys.platform != "linux":
            raise unittest.SkipTest("needs Linux")
        manager = Listener(self, f"\0{name}")
        NotifySocket(f"@{name}").ready()
        self.assertEqual(manager.read(), ["READY=1"])

    def fill(self) -> int:
        """Leave no room in the manager's queue; returns how many messages are in it."""
        count = 0
        for _ in range(1000):
            before = count
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                other.setblocking(False)
                with contextlib.suppress(OSError):  # EAGAIN on Linux, ENOBUFS on macOS
                    while True:  # until there is no room there, or this sender may have no more on its way
                        other.sendto(b"OTHER=1", self.path)
                        count += 1
            if count == before:
                return count
        raise AssertionError("it is never full")

    def test_without_room_nothing_waits_and_what_is_lost_is_a_status_but_no_state(self) -> None:
        others = self.fill()
        self.notify.ready()
        self.notify.status("lost")
        self.notify.alive()
        self.assertEqual(self.manager.read(), ["OTHER=1"] * others)
        self.notify.status("told")
        self.assertEqual(self.manager.read(), ["READY=1", "STATUS=told"])

    def test_states_that_had_no_room_are_told_in_their_order(self) -> None:
        self.fill()
        self.notify.ready()
        self.notify.reloading()
        self.manager.read()
        self.notify.ready()
        self.assertEqual(self.manager.read(), ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12345678", "READY=1"])

    def test_of_many_states_that_nobody_heard_the_newest_are_kept(self) -> None:
        self.fill()
        for _ in range(100):
            self.notify.reloading()
            self.notify.ready()
        self.manager.read()
        self.notify.alive()
        told = self.manager.read()
        self.assertEqual(told[-2:], ["READY=1", "WATCHDOG=1"])
        self.assertLess(len(told), 10)

    def test_nobody_at_the_other_end_hurts_nobody_and_a_new_manager_is_told(self) -> None:
        self.manager.socket.close()
        self.notify.ready()
        self.notify.alive()
        os.unlink(self.path)
        self.notify.status("into the void")
        manager = Listener(self, self.path)
        self.notify.alive()
        self.assertEqual(manager.read(), ["READY=1", "WATCHDOG=1"])

    def test_a_path_that_no_socket_can_have_hurts_nobody(self) -> None:
        notify = NotifySocket("/" + "x" * 200)
        notify.ready()
        notify.alive()


class SupervisorTests(SynchronousTestCase):
    def test_without_a_notify_socket_nobody_is_told(self) -> None:
        environ = {"HOME": "/", "WATCHDOG_USEC": "1000000"}
        nobody = supervisor(environ, 1)
        self.assertIs(type(nobody), Supervisor)
        self.assertIsNone(nobody.watchdog)
        self.assertEqual(environ, {"HOME": "/"})
        nobody.ready()
        nobody.reloading()
        nobody.stopping(1.0)
        nobody.status("")
        nobody.alive()

    def test_what_it_says_is_taken_out_of_the_environment(self) -> None:
        environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42", "HOME": "/"}
        made = supervisor(environ, 42)
        self.assertIsInstance(made, NotifySocket)
        self.assertEqual(environ, {"HOME": "/"})

    def test_pings_come_twice_in_the_time_of_the_watchdog_if_it_is_ours(self) -> None:
        for usec, pid, expected in (
            ("30000000", "42", 15.0),
            ("3", "", 1.5e-6),
            ("30000000", "43", None),
            ("30000000", "x", None),
            ("0", "42", None),
            ("", "42", None),
            ("-1", "42", None),
            ("1.5", "42", None),
            ("²", "42", None),
            ("9" * 5000, "42", None),
        ):
            made = supervisor({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}, 42)
            self.assertEqual(made.watchdog, expected, (usec, pid))

    def test_a_socket_of_another_kind_is_not_used_and_the_log_says_so(self) -> None:
        with capturedLogs() as events:
            made = supervisor({"NOTIFY_SOCKET": "vsock:2:1"}, 1)
        self.assertIs(type(made), Supervisor)
        self.assertEqual(
            said(events),
            [(LogLevel.warn, "$NOTIFY_SOCKET vsock:2:1 is not used: neither a path nor an abstract socket")],
        )
