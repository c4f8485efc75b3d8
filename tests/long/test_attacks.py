"""What other people's tools find: testssl.sh at a TLS port, slowhttptest at the web port. Minutes: only --thorough."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.certificates import Authority
from tests.kit.process import Relay
from tests.kit.web import relay

SECONDS = 30
"""How long an attack lasts."""
ATTACKS = {
    "slow headers": ("-H",),
    "slow body": ("-B",),
    "slow read": ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"),
    "ranges": ("-R", "-a", "10", "-b", "3000"),
}
"""Options of slowhttptest, by what it does."""
NO_FINDING = {"OK", "INFO", "LOW", "WARN", "DEBUG"}
"""Severities of testssl.sh that are none, or no worse than low. The last two say what it could not find out."""
BY_NATURE = {"cert_validityPeriod", "cert_revocation"}
"""Findings on the certificate of the test's own authority, and not on the relay."""
WITHOUT_TLS_12 = {f"clientsimulation-{name}" for name in ("ie_6_xp", "ie_8_win7", "ie_8_xp", "java_7u25")}
"""Simulated clients that speak older versions only, as they come."""


@pytest.fixture
def tool(request: pytest.FixtureRequest, thorough: bool) -> str:
    """The program that the test is parametrized with, or a skip."""
    if not thorough:
        pytest.skip("takes minutes: --thorough")
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed: apt install {request.param}")
    return str(shutil.which(request.param))


@pytest.mark.parametrize("tool", ["slowhttptest"], indirect=True)
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_web_port_is_available_throughout_a_slow_attack(tool: str, attack: str, tmp_path: Path) -> None:
    with relay() as (running, port):
        done = subprocess.run(
            [
                *(tool, *ATTACKS[attack], "-c", "1000", "-r", "200", "-l", str(SECONDS), "-i", "5", "-p", "3"),
                *("-g", "-o", str(tmp_path / "found"), "-u", f"http://127.0.0.1:{port}/page.js"),
            ],
            capture_output=True,
            text=True,
            timeout=10 * SECONDS,
        )
        plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
        available = re.findall(r"service available:\s*(YES|NO)", plain)
        assert available, plain
        assert set(available) == {"YES"}, plain
        assert "Traceback" not in running.log.text


@pytest.mark.parametrize("tool", ["testssl"], indirect=True)
def test_testssl_finds_nothing_worse_than_low_and_its_clients_connect(
    tool: str, tmp_path: Path, authority: Authority
) -> None:
    found = tmp_path / "found.json"
    certificate = str(authority.issue("localhost"))
    with Relay("--subscribe-tls", "tcp:0:interface=127.0.0.1", "--certificate", certificate) as running:
        port = running.log.wait_for(r"subscribers with TLS on 127\.0\.0\.1:(\d+)")[1]
        command = (tool, "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", str(found))
        done = subprocess.run(
            [*command, "--add-ca", str(authority.ca), f"localhost:{port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        findings = json.loads(found.read_text())
        assert "Traceback" not in running.log.text
    worse = [one for one in findings if one["severity"] not in NO_FINDING and one["id"] not in BY_NATURE]
    assert not worse, f"{worse}\n{done.stdout}"
    clients = {one["id"]: one["finding"] for one in findings if one["id"].startswith("clientsimulation-")}
    assert len(clients) > 20, done.stdout
    assert {client for client, result in clients.items() if result == "No connection"} <= WITHOUT_TLS_12
