"""What is said of a port that cannot be listened on."""

from __future__ import annotations

import os
import socket
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOBUFS
from pathlib import Path
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from relay.net.unavailable import why
from tests.kit.folders import temporary_folder

ME = f"{Path('/proc/self/comm').read_text().strip()} (process {os.getpid()})" if os.path.exists("/proc/self") else ""


@implementer(IListeningPort)
class Listening:
    """A port of the relay that listens on 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._port = port

    def startListening(self) -> None:
        """It listens already."""

    def stopListening(self) -> None:
        """It is never asked to."""

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self._port)


class UnavailableTests(SynchronousTestCase):
    def not_listening(self, port: int, code: int) -> str:
        return why(CannotListenError("", port, OSError(code, os.strerror(code))), [("publish", Listening(9))])

    @skipUnless(ME, "Linux only")
    def test_the_process_that_has_the_port_is_named(self) -> None:
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.create_server((host, 0), family=family) as taken:
                port = taken.getsockname()[1]
                self.assertEqual(self.not_listening(port, EADDRINUSE), f"port {port} is taken, by {ME}")

    def test_if_the_system_does_not_tell_the_line_says_how_to_find_out(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = taken.getsockname()[1]  # once it is closed, nobody has it
        hint = f"ss -ltnp sport = :{free} shows it to root"
        self.assertEqual(self.not_listening(free, EADDRINUSE), f"port {free} is taken, by another program ({hint})")

    def test_a_port_that_the_relay_itself_has_is_that_of_its_option(self) -> None:
        self.assertEqual(self.not_listening(9, EADDRINUSE), "port 9 is taken, by --publish of this relay")

    def test_a_low_port_needs_a_capability_and_a_high_one_does_not(self) -> None:
        said = self.not_listening(80, EACCES)
        for words in ("CAP_NET_BIND_SERVICE", "AmbientCapabilities=", "ip_unprivileged_port_start=80"):
            self.assertIn(words, said)
        self.assertEqual(self.not_listening(8001, EACCES), "cannot listen on port 8001: Permission denied")

    def test_other_errors_are_words_without_numbers(self) -> None:
        self.assertEqual(self.not_listening(8001, EADDRNOTAVAIL), "no interface of this machine has that address")
        self.assertEqual(self.not_listening(8001, ENOBUFS), f"cannot listen on port 8001: {os.strerror(ENOBUFS)}")
        self.assertEqual(why(RuntimeError("it does not listen at once"), []), "it does not listen at once")

    def failure(self, path: Path) -> BaseException | None:
        """What is raised when Twisted should listen on that Unix socket."""
        error: BaseException | None = self.failureResultOf(
            serverFromString(reactor, f"unix:{path}").listen(Factory())
        ).value
        return error

    @skipUnless(ME, "Linux only")
    def test_whoever_has_a_unix_socket_is_named(self) -> None:
        path = temporary_folder(self) / "relay.sock"
        port = self.successResultOf(serverFromString(reactor, f"unix:{path}").listen(Factory()))
        self.addCleanup(port.connectionLost, Failure(ConnectionDone()))  # at once: the folder goes next
        self.addCleanup(port.stopReading)
        self.assertEqual(why(self.failure(path), []), f"{path} is taken, by {ME}")
        self.assertEqual(why(self.failure(path), [("web", port)]), f"{path} is taken, by --web of this relay")

    def test_a_unix_socket_needs_a_folder(self) -> None:
        folder = temporary_folder(self) / "none"
        self.assertEqual(why(self.failure(folder / "relay.sock"), []), f"{folder}: No such file or directory")
