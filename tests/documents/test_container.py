"""The files for a container and for a Debian package, as far as that can be tried without making either.

`.ci/debian` makes the package, and takes it through its life under systemd; `.ci/container` does that with the image.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from relay.config.config import configure
from relay.config.file import read_file
from tests.kit.page import ROOT
from tests.kit.process import DEADLINE, free_port, start
from tests.kit.setup_cfg import setup_cfg

CONTAINER = (ROOT / "deploy" / "container" / "Dockerfile").read_text()
DEBIAN = ROOT / "deploy" / "debian"
HERE = str(Path(sys.executable).parent) + "/"


def words(instruction: str) -> list[str]:
    """The arguments of an instruction that has them as JSON, with the programs and the port of this test."""
    found = re.search(rf"^(?:HEALTHCHECK .*\\\n +)?{instruction} (\[.*\])$", CONTAINER, re.MULTILINE)
    assert found is not None, instruction
    return [str(word).replace("/opt/relay/bin/", HERE) for word in json.loads(found[1])]


def test_the_container_runs_a_relay_that_its_health_check_sees_and_that_obeys_signals(tmp_path: Path) -> None:
    port = str(free_port())
    file = tmp_path / "relay.toml"
    file.write_text('publish = ["tcp:0:interface=127.0.0.1"]\nsubscribe = ["tcp:0:interface=127.0.0.1"]\n')
    [check] = re.findall(r"HEALTHCHECK .*\\\n +CMD (\[.*\])$", CONTAINER, re.MULTILINE)
    health = [word.replace("/opt/relay/bin/", HERE).replace("8003", port) for word in json.loads(check)]
    command = [word.replace("8003", port) for word in (*words("ENTRYPOINT"), *words("CMD"))]
    assert subprocess.run(health, capture_output=True, timeout=DEADLINE).returncode == 1
    relay = start(*[str(file) if word == "/etc/relay/relay.toml" else word for word in command])
    try:
        relay.wait_for("relaying messages of up to")
        assert subprocess.run(health, capture_output=True, timeout=DEADLINE).returncode == 0
        began = time.monotonic()
        relay.process.terminate()
        assert relay.wait_for_end() == 0
        assert time.monotonic() - began < 10  # after which `docker stop` kills
    finally:
        relay.process.kill()


def test_the_image_knows_the_ports_of_the_example_and_a_python_that_is_tested() -> None:
    ports = re.findall(r"tcp:(\d+)", " ".join(configure({}).publish + configure({}).subscribe))
    assert re.search(r"^EXPOSE (.*)$", CONTAINER, re.MULTILINE)[1].split() == ports  # type: ignore[index]
    assert set(re.findall(r"python:([\d.]+)-slim", CONTAINER)) <= set(
        re.findall(r":: Python :: (3\.\d+)$", setup_cfg()["metadata"]["classifiers"], re.MULTILINE)
    )


def test_the_package_opens_its_ports_to_this_machine_only(tmp_path: Path) -> None:
    """As `build.sh` changes the example: it is what a service runs with that starts by itself."""
    [script] = re.findall(r"^sed '(.*)' \"\$root/deploy/relay\.toml\"", (DEBIAN / "build.sh").read_text(), re.MULTILINE)
    file = tmp_path / "relay.toml"
    example = ROOT / "deploy" / "relay.toml"
    file.write_bytes(subprocess.run(["sed", script, example], capture_output=True, check=True).stdout)
    config = configure(*read_file(str(file)))
    assert config.publish == ("tcp:8001:interface=127.0.0.1",)
    assert config.subscribe == ("tcp:8002:interface=127.0.0.1",)
    changed = set(file.read_text().splitlines()) ^ set(example.read_text().splitlines())
    assert len(changed) == 4


def test_the_package_has_the_units_and_the_scripts() -> None:
    build = (DEBIAN / "build.sh").read_text()
    for file in (ROOT / "deploy" / "systemd").iterdir():
        assert file.name in build
    for script in ("preinst", "postinst", "prerm", "postrm"):
        assert f'"$here/{script}"' in build
        assert (DEBIAN / script).read_text().startswith("#!/bin/sh\n")
    summary = setup_cfg()["metadata"]["description"]
    description = " ".join((DEBIAN / "control").read_text().partition("\n Publishers")[2].split())
    assert f"Publishers {description}" == f"{summary}."
