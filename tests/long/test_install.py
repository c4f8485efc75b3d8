"""What somebody does first, `bash start.sh` in a fresh checkout or `pip install` of a wheel, and what can go wrong."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.kit import process
from tests.kit.checkout import checkout_files, ignored
from tests.kit.setup_cfg import setup_cfg

ROOT = Path(__file__).parents[2]
ANY_PORTS = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1")
LISTENING = r"listening for publishers on 127\.0\.0\.1:(\d+)"
INSTALLING = 300.0  # seconds: far more than an installation takes, over a slow network too

Run = Callable[..., process.Lines]


def copy_checkout(to: Path) -> Path:
    """The checkout as a clone of it would be: without what .gitignore names."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*ignored()))
    return to


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output and error output are kept apart."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALLING,
    )


def installs(checkout: Path) -> bool:
    """Whether a start would install anything: it says so when there is nothing to install with."""
    start = run("bash", checkout / "start.sh", "--help", cwd=checkout.parent, PYTHON="/no/such/python")
    return start.returncode != 0 and "no working /no/such/python" in start.stderr


def stop(relay: process.Lines) -> None:
    """End the process that was started. It has to be the relay itself (`exec`), or a supervisor could not end it."""
    port = int(relay.wait_for(LISTENING)[1])
    relay.process.terminate()
    relay.wait_for_end()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.fixture(scope="module")
def start() -> Iterator[Run]:
    """`start(command...)` runs a program on, with what it started in turn, until the end of the tests at most."""
    started: list[process.Lines] = []

    def start(*command: str | Path, cwd: Path, **environment: str) -> process.Lines:
        lines = process.start(*map(str, command), cwd=cwd, env={**os.environ, **environment}, start_new_session=True)
        started.append(lines)
        return lines

    yield start
    for lines in started:
        with contextlib.suppress(ProcessLookupError):  # none is left of this group
            os.killpg(lines.process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class FirstStart:
    checkout: Path
    starts: list[process.Lines]  # ended by now, all well


@pytest.fixture(scope="module")
def first_start(start: Run, tmp_path_factory: pytest.TempPathFactory) -> FirstStart:
    """A checkout that was started for the first time: once, but killed on the way, then from three terminals."""
    checkout = copy_checkout(tmp_path_factory.mktemp("first") / "a folder with spaces")
    command = ("bash", checkout / "start.sh", *ANY_PORTS)

    killed = start(*command, cwd=checkout.parent)
    killed.wait_for("installing into")
    os.killpg(killed.process.pid, signal.SIGKILL)
    killed.wait_for_end()
    half_a_python = checkout / ".venv" / "bin" / "python"  # wherever the kill came, be in the middle
    half_a_python.parent.mkdir(parents=True, exist_ok=True)
    half_a_python.unlink(missing_ok=True)
    half_a_python.write_text("half")
    half_a_python.chmod(0o755)

    starts = [start(*command, cwd=checkout.parent)]
    starts[0].wait_for("installing into")
    starts += [start(*command, cwd=checkout.parent) for _ in range(2)]
    for relay in starts:
        relay.wait_for(LISTENING, timeout=INSTALLING)
        relay.wait_for("^relay: (no )?status page")
    for relay in starts:
        stop(relay)
    return FirstStart(checkout, starts)


def test_of_three_first_starts_one_installs_and_the_others_wait(first_start: FirstStart) -> None:
    assert [len(relay.find("installing into")) for relay in first_start.starts] == [1, 0, 0]
    assert [len(relay.find("another start is installing, waiting")) for relay in first_start.starts] == [0, 1, 1]
    assert len({relay.find(LISTENING)[0][1] for relay in first_start.starts}) == 3
    pages = [relay for relay in first_start.starts if relay.find("^relay: status page: http://127.0.0.1:8003/$")]
    assert len(pages) <= 1  # none if something else has the port, and one that has it says so
    for relay in first_start.starts:
        assert len(relay.find("listening for web on 127.0.0.1:8003$")) == (relay in pages)


def test_the_installation_makes_the_plugin_caches_and_a_start_leaves_them_alone(
    start: Run, first_start: FirstStart
) -> None:
    """So a start in a folder that may only be read has nothing to complain about."""

    def written() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in checkout.rglob("dropin.cache")}

    checkout = first_start.checkout
    before = written()
    assert {path.parents[2].name for path in before} == {"site-packages", checkout.name}
    assert max(before.values()) <= (checkout / ".venv" / "ready").stat().st_mtime_ns
    stop(start("bash", checkout / "start.sh", *ANY_PORTS, cwd=checkout.parent))
    assert written() == before


def test_a_second_start_needs_neither_network_nor_python(start: Run, first_start: FirstStart) -> None:
    checkout = first_start.checkout
    relay = start("bash", checkout / "start.sh", *ANY_PORTS, cwd=checkout.parent, PYTHON="/no/such/python")
    stop(relay)
    assert not relay.find("^relay: (?!(no )?status page)")  # it says nothing else, so it installs nothing


@pytest.mark.parametrize(
    ("options", "page"),
    [
        (("--web-token-file", "token"), True),
        (("--web-host=relay.example", "--web-origin", "https://example.org"), True),
        (("--config", "other.toml"), True),
        (("--web", "tcp:0:interface=127.0.0.1"), False),
        (("--web=none",), False),
        (("--config", "web.toml"), False),
        (("--config=web.toml",), False),
        (("--config", "other.toml", "--web=none"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_there_is_a_page_unless_options_or_file_say_where_the_web_port_is(
    start: Run, first_start: FirstStart, tmp_path: Path, options: tuple[str, ...], page: bool
) -> None:
    (tmp_path / "token").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "web.toml").write_text("[web]\nweb = []\n")
    (tmp_path / "other.toml").write_text("replay = 1\n[web]\n")
    relay = start("bash", first_start.checkout / "start.sh", *ANY_PORTS, *options, cwd=tmp_path)
    relay.wait_for(f"{LISTENING}|there is no web port")  # the latter if something else has port 8003
    assert len(relay.find("^relay: (no )?status page")) == page
    if relay.find(LISTENING):
        stop(relay)


@pytest.mark.parametrize("script", ["start.sh", "tester/client/start.sh", "tester/publisher/start.sh"])
def test_a_script_that_is_started_with_sh_is_run_by_bash_and_installs_nothing(
    first_start: FirstStart, script: str
) -> None:
    done = run("sh", first_start.checkout / script, "--help", cwd=first_start.checkout, PYTHON="/no/such/python")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_changed_setup_cfg_is_installed(first_start: FirstStart) -> None:
    setup_cfg = first_start.checkout / "setup.cfg"
    text = setup_cfg.read_text()
    setup_cfg.write_text(text.replace("install_requires =", "install_requires =\n    attrs", 1))
    changed = installs(first_start.checkout)
    setup_cfg.write_text(text)
    assert changed
    assert not installs(first_start.checkout)


def test_a_moved_checkout_is_installed_again(first_start: FirstStart) -> None:
    moved = first_start.checkout.rename(first_start.checkout.with_name("moved"))
    noticed = installs(moved)
    moved.rename(first_start.checkout)
    assert noticed
    assert not installs(first_start.checkout)


def test_a_python_that_was_upgraded_away_is_noticed(first_start: FirstStart) -> None:
    python = first_start.checkout / ".venv" / "bin" / "python"
    aside = python.rename(python.with_name("aside"))
    python.symlink_to("/no/such/python")
    noticed = installs(first_start.checkout)
    aside.replace(python)
    assert noticed
    assert not installs(first_start.checkout)


def test_without_network_pip_has_its_say_and_the_next_start_tries_again(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "relay")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    start = run("bash", checkout / "start.sh", cwd=tmp_path, **offline)
    assert start.returncode == 1
    assert start.stdout == ""
    assert "No matching distribution found" in start.stderr
    assert re.search(r"^relay: could not install .*; the next start tries again$", start.stderr, re.MULTILINE)
    assert installs(checkout)


def python_where(change: str, path: Path) -> None:
    """Write a Python that knows `-c` only, and to which `change` happens before."""
    code = f"import sys; {change}; exec(sys.argv[1])"
    path.write_text(f"""#!/bin/sh\nexec '{sys.executable}' -c '{code}' "$2"\n""")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param("sys.version_info = (3, 10, 13)", "Python 3.11 or newer is needed, and .* is 3.10", id="too old"),
        pytest.param('sys.modules["ensurepip"] = None', "no venv module .*apt install python3.*-venv", id="no venv"),
        pytest.param("sys.exit(127)", "no working ", id="broken"),
    ],
)
def test_a_python_that_will_not_do_gets_one_line(tmp_path: Path, change: str, says: str) -> None:
    checkout = copy_checkout(tmp_path / "relay")
    python_where(change, tmp_path / "python")
    start = run("bash", checkout / "start.sh", cwd=tmp_path, PYTHON=str(tmp_path / "python"))
    assert start.returncode == 1
    assert start.stdout == ""
    assert re.fullmatch(f"relay: .*{says}.*; another can be named with PYTHON=.*\n", start.stderr)
    assert not (checkout / ".venv").exists()


def test_when_python3_is_too_old_newer_ones_beside_it_are_tried(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "relay")
    python_where("sys.version_info = (3, 10, 13)", tmp_path / "python3")
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        python_where(f'open("tried", "a").write("{name} "); sys.exit(1)', tmp_path / name)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    start = run("bash", checkout / "start.sh", cwd=tmp_path, PYTHON="", PATH=path)
    assert start.returncode == 1
    assert "is 3.10;" in start.stderr
    assert (tmp_path / "tried").read_text() == "python3.14 python3.13 python3.12 python3.11 "


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path  # made from the sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, built from a copy: building leaves things behind."""
    folder = tmp_path_factory.mktemp("dist")
    source = copy_checkout(tmp_path_factory.mktemp("source") / "relay")
    build = run(sys.executable, "-m", "build", "--outdir", folder, source, cwd=folder)
    assert build.returncode == 0, build.stdout + build.stderr
    (sdist,), (wheel,) = folder.glob("relay_broadcast-*.tar.gz"), folder.glob("relay_broadcast-*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="module")
def wheel(built: Built) -> Path:
    return built.wheel


def test_the_sdist_is_the_checkout(built: Built, tmp_path: Path) -> None:
    """What is added is what setuptools writes: metadata, and a section of setup.cfg that names no file of ours."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    found = {str(path.relative_to(unpacked)): path.read_bytes() for path in unpacked.rglob("*") if path.is_file()}
    expected = {str(path.relative_to(ROOT)): path.read_bytes() for path in checkout_files()}
    added = found.keys() - expected.keys()
    assert {name for name in added if ".egg-info/" not in name and not name.startswith("relay/deploy/")} == {"PKG-INFO"}
    del found["setup.cfg"], expected["setup.cfg"]
    assert {name: found.get(name) for name in expected} == expected


def test_the_metadata_is_what_the_pages_say(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    readme = (ROOT / "README.md").read_text()
    assert metadata["Name"] == "relay-broadcast"
    assert f"relay is a broadcast daemon: {metadata['Summary'].lower()}." in " ".join(readme.lower().split())
    assert metadata["Author"] in (ROOT / "LICENSE").read_text()


def test_the_wheel_holds_the_programs_and_nothing_else(wheel: Path) -> None:
    modules = [*ROOT.glob("relay/**/*.py"), *ROOT.glob("tester/**/*.py"), *ROOT.glob("twisted/plugins/*.py")]
    data = [ROOT / "relay/py.typed", ROOT / "tester/bench/relay.c", ROOT / "tester/bench/relay.js"]
    data += [*ROOT.glob("relay/web/page/*"), ROOT / "relay/deploy/relay.toml", *ROOT.glob("relay/deploy/systemd/*")]
    expected = {str(path.relative_to(ROOT)) for path in [*modules, *data]}
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == expected


PYTHONS = re.findall(r":: Python :: (3\.\d+)$", setup_cfg()["metadata"]["classifiers"], re.MULTILINE)


def test_the_oldest_python_that_is_named_is_the_oldest_that_will_do() -> None:
    assert setup_cfg()["options"]["python_requires"] == f">={PYTHONS[0]}"


@pytest.mark.parametrize("version", PYTHONS)
def test_an_installed_wheel_runs_outside_the_checkout(start: Run, wheel: Path, tmp_path: Path, version: str) -> None:
    python = f"python{version}"
    if run("sh", "-c", f"{python} -c 'import ensurepip'", cwd=tmp_path).returncode:
        pytest.skip(f"there is no {python} with its venv module")
    programs = tmp_path / "venv" / "bin"
    for command in (
        (python, "-m", "venv", tmp_path / "venv"),
        (programs / "python", "-m", "pip", "install", wheel),
        (programs / "python", "-m", "tester.client", "--help"),
        (programs / "python", "-m", "tester.publisher", "--help"),
        (programs / "relay", "subscribe", "--help"),
    ):
        result = run(*command, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    assert run(programs / "relay", "example-config", cwd=tmp_path).stdout == (ROOT / "deploy/relay.toml").read_text()
    service = run(programs / "relay", "systemd-units", "relay.service", cwd=tmp_path).stdout
    assert f"\nExecStart={programs}/twistd --nodaemon " in service
    stop(start(programs / "twistd", "-n", "--pidfile=", "relay", *ANY_PORTS, cwd=tmp_path))
    stop(start(programs / "relay", "serve", *ANY_PORTS, cwd=tmp_path))
