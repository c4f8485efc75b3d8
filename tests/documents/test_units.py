"""The units for systemd, as systemd sees them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from relay.daemon.options import Options

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"


class UnitTests(SynchronousTestCase):
    """The files in `deploy/systemd`."""

    def analyze(self, *arguments: str, cwd: Path = UNITS) -> subprocess.CompletedProcess[str]:
        program = shutil.which("systemd-analyze")
        if program is None:
            raise unittest.SkipTest("needs systemd-analyze (Debian: systemd)")
        return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60)

    def check_exposure(self, unit: str, most: float) -> None:
        rated = self.analyze("security", "--offline=true", f"--threshold={most * 10:.0f}", f"./{unit}")
        self.assertEqual(rated.returncode, 0, rated.stdout + rated.stderr)
        level = re.search(r"Overall exposure level for \S+: (\d+\.\d)", rated.stdout)
        assert level is not None, rated.stdout
        self.assertLessEqual(float(level[1]), most)

    def test_the_service_that_listens_itself_is_exposed_no_more_than_it_has_to_be(self) -> None:
        self.check_exposure("relay.service", 1.2)

    def test_with_socket_activation_hardly_anything_is_left(self) -> None:
        self.check_exposure("relay-socket.service", 0.3)

    def test_systemd_knows_every_line_of_the_units(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        copies = Path(directory.name)
        for unit in UNITS.iterdir():  # with programs that exist here
            text = unit.read_text()
            copies.joinpath(unit.name).write_text(re.sub(r"(?<=^ExecStart=)\S+", sys.executable, text, flags=re.M))
        verified = self.analyze("verify", *(f"./{unit.name}" for unit in UNITS.iterdir()), cwd=copies)
        self.assertEqual((verified.returncode, verified.stdout, verified.stderr), (0, "", ""))

    def test_the_command_lines_are_those_of_the_relay(self) -> None:
        for unit, endpoints in (
            ("relay.service", []),
            ("relay-socket.service", ["systemd:domain=INET:name=publish", "systemd:domain=INET:name=subscribe"]),
        ):
            words = self.setting(unit, "ExecStart").split()
            start = words.index("relay")
            self.assertEqual(words[:start], ["/opt/relay/bin/twistd", "--nodaemon", "--pidfile="])
            known = {f"--{name.rstrip('=')}" for name in Options().longOpt}
            self.assertLessEqual({word for word in words[start:] if word.startswith("-")}, known)
            self.assertEqual([word for word in words if word.startswith("systemd:")], endpoints)

    def test_the_names_of_the_sockets_are_those_that_the_command_line_asks_for(self) -> None:
        names = re.findall(r"name=(\S+)", self.setting("relay-socket.service", "ExecStart"))
        sockets = self.setting("relay-socket.service", "Sockets").split()
        self.assertEqual([self.setting(unit, "FileDescriptorName") for unit in sockets], names)
        self.assertEqual([self.setting(unit, "ListenStream")[-4:] for unit in sockets], ["8001", "8002"])
        self.assertEqual({self.setting(unit, "Service") for unit in sockets}, {"relay-socket.service"})

    def test_the_time_to_stop_is_longer_than_the_drain(self) -> None:
        options = Options()
        options.parseOptions([])
        for unit in ("relay.service", "relay-socket.service"):
            self.assertGreater(float(self.setting(unit, "TimeoutStopSec").rstrip("s")), options.config().drain_timeout)

    def test_both_services_are_the_same_but_for_the_sockets(self) -> None:
        direct, activated = (self.service(unit) for unit in ("relay.service", "relay-socket.service"))
        self.assertEqual(
            {line.partition("=")[0] for line in direct ^ activated},
            {"ExecStart", "Sockets", "PrivateNetwork", "RestrictAddressFamilies", "IPAddressDeny"},
        )

    def service(self, unit: str) -> set[str]:
        text = UNITS.joinpath(unit).read_text().replace("\\\n", "")
        section = text.partition("[Service]\n")[2].partition("[Install]\n")[0]
        return {line for line in section.splitlines() if line and not line.startswith("#")}

    def setting(self, unit: str, name: str) -> str:
        text = UNITS.joinpath(unit).read_text().replace("\\\n", "")
        [value] = re.findall(rf"^{name}=(.*)$", text, flags=re.M)
        return str(value)
