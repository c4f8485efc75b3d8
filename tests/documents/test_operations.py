"""What docs/operations.md and deploy/relay.toml say, compared with the relay, and the commands of the page run."""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from twisted.logger import Logger, capturedLogs
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from relay.config.config import configure
from relay.config.file import read_file
from relay.config.settings import SETTINGS
from relay.daemon.logs import as_json
from relay.daemon.options import Options
from relay.observe.metrics import Metrics
from relay.wire.close_reason import CloseReason
from tests.kit.certificates import Authority
from tests.kit.doors import dial
from tests.kit.fakes import frame
from tests.kit.page import PAGE, ROOT, section, table
from tests.kit.process import DEADLINE, TWISTD, Lines, Relay, start
from tests.kit.snapshots import NOW

EXAMPLE = ROOT / "deploy" / "relay.toml"
NO_SETTINGS = {"config", "check", "help", "version"}
LEVELS = {"debug", "info", "warn", "error"}
NAME = "relay.example.org"
"""Of the certificate that the page has one make."""


def commands(title: str) -> list[list[str]]:
    """The shell commands of a section, a list for each block."""
    blocks = re.findall(r"```sh\n(.*?)```", section(title), re.DOTALL)
    return [block.replace("\\\n", " ").splitlines() for block in blocks]


# Options and settings


def test_the_table_of_options_is_that_of_the_relay() -> None:
    rows = table(section("Configure"), "option")
    shown = [(row[0].split()[0].strip("`"), row[1], row[2].strip("`"), row[3]) for row in rows]
    assert shown == [
        (f"--{setting.name}", setting.table or "top", setting.default, "yes" if setting.reload is not None else "no")
        for setting in SETTINGS
    ]


def test_every_option_of_the_help_is_on_the_page_and_every_setting_in_the_file() -> None:
    offered = {option.rstrip("=") for option in Options().longOpt}
    assert offered == {setting.name for setting in SETTINGS} | NO_SETTINGS
    for option in offered:
        assert f"`--{option}" in section("Configure"), option


def test_the_example_file_has_every_setting_once_at_its_default(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(re.sub(r"^#(?=[a-z-]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    given, faults = read_file(str(file))
    assert (faults, set(given)) == ([], {setting.name for setting in SETTINGS})
    assert configure(given) == configure({})


def test_the_example_file_says_of_each_setting_what_a_reload_does(tmp_path: Path) -> None:
    """Settings that stand together have one explanation."""
    reload = {setting.name: setting.reload is not None for setting in SETTINGS}
    seen = set()
    for block in re.findall(r"((?:^# .*\n)+)((?:^#[a-z-]+ = .*\n)+)", EXAMPLE.read_text(), re.MULTILINE):
        for name in re.findall("^#([a-z-]+)", block[1], re.MULTILINE):
            assert reload[name] == ("(SIGHUP)" in block[0]), name
            seen.add(name)
    assert seen == set(reload)


def test_the_example_file_is_one_that_the_relay_takes_as_it_is() -> None:
    tables = ("limits", "journal", "backbone", "tls", "reach", "web", "log")
    assert tomllib.loads(EXAMPLE.read_text()) == {table: {} for table in tables}
    check = subprocess.run(
        [TWISTD, "relay", "--check", "--config", EXAMPLE], capture_output=True, text=True, timeout=DEADLINE
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "ok\n", "")


# Metrics


def test_the_table_of_metrics_is_that_of_the_relay() -> None:
    suffixes = {"counter": "_total", "info": "_info"}
    kinds = {"info": "gauge", "gaugehistogram": "gauge histogram"}
    found = []
    for family in Metrics(lambda: NOW, lambda: 1).collect():
        labels = {label for sample in family.samples for label in sample.labels}
        name = family.name + suffixes.get(family.type, "")
        found.append((f"`{name}`", kinds.get(family.type, family.type), labels, family.documentation))
    rows = table(section("Metrics"), "metric")
    assert [(row[0], row[1], set(re.findall("`(.*?)`", row[2])), row[3]) for row in rows] == found


# The log


def literal(node: ast.expr, line: str | None = None) -> str:
    """The text that an expression of constants stands for; `line` is what the name `line` does."""
    if isinstance(node, ast.BinOp):
        return literal(node.left, line) + literal(node.right, line)
    if isinstance(node, ast.Name) and node.id == "line" and line is not None:
        return line
    assert isinstance(node, ast.Constant), f"the format of a log line is not constant: {ast.unparse(node)}"
    assert isinstance(node.value, str)
    return node.value


def targets(function: ast.expr) -> list[ast.Attribute]:
    """The methods of a logger (or of what limits lines) that a call may be of."""
    if isinstance(function, ast.IfExp):
        return targets(function.body) + targets(function.orelse)
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS | {"critical", "failure", "emit"}:
        return []
    logs = re.search(r"\b_?(log|logger|lines|subscriber|self)$", ast.unparse(function.value).lower())
    return [function] if logs else []


PASSED_ON = ("logger", "level")
"""What calls begin with that log what they were given."""


def log_lines() -> set[tuple[str, frozenset[str]]]:
    """Every format that the relay logs, by its source, with the levels at which it does."""
    found: dict[str, set[str]] = {}
    ends = []
    end: tuple[ast.expr, set[str]] | None = None
    for file in sorted((ROOT / "relay").rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text())):
            if not isinstance(call, ast.Call):
                continue
            if isinstance(call.func, ast.Attribute) and call.func.attr == "_log_end":
                ends.append(literal(call.args[0]))
            for target in targets(call.func):
                if ast.unparse(call.args[0]) in PASSED_ON:
                    continue
                limited = ast.unparse(target.value).endswith("lines")
                form, level = call.args[limited], "critical" if target.attr == "failure" else target.attr
                if isinstance(form, ast.BinOp):
                    end = (form, (end[1] if end else set()) | {level})
                else:
                    found.setdefault(literal(form), set()).add(level)
    assert end is not None
    for line in ends:
        found.setdefault(literal(end[0], line), set()).update(end[1])
    return {(form, frozenset(levels)) for form, levels in found.items()}


def test_the_table_of_log_lines_has_each_that_the_relay_can_write_and_no_other() -> None:
    rows = table(section("Every line of the log"), "event")
    assert {(row[0].strip("`"), frozenset(row[1].split(", "))) for row in rows} == log_lines()
    assert len(rows) == len(log_lines())
    assert all(row[2] for row in rows)


def test_the_fields_of_json_are_those_of_the_page() -> None:
    with capturedLogs() as events:
        Logger().failure("{call} failed", Failure(ValueError()), call="it")
    written = json.loads(as_json(events[0]) or "")
    assert set(written) - {"call"} == {row[0].strip("`") for row in table(section("The log"), "field")}


def test_twisted_rotates_its_log_file_as_the_page_says() -> None:
    defaults = inspect.signature(LogFile.__init__).parameters
    assert defaults["rotateLength"].default == 1_000_000
    assert defaults["maxRotatedFiles"].default is None


def test_every_reason_for_the_end_of_a_connection_is_explained() -> None:
    protocol = (ROOT / "docs" / "protocol.md").read_text()
    reasons = {row[0].strip("`") for row in table(section("The end of a connection", protocol), "reason")}
    assert reasons == set(CloseReason)
    advice = " ".join(row[0] for row in table(section("The end of a connection"), "reason"))
    everyday = {CloseReason.PEER_CLOSED, CloseReason.CONNECTION_LOST, CloseReason.SHUTDOWN}
    assert set(re.findall("`(.*?)`", advice)) == set(CloseReason) - everyday


def test_links_lead_somewhere() -> None:
    def anchors(page: str) -> set[str]:
        return {re.sub(r"[^\w -]", "", line).replace(" ", "-") for line in re.findall("^#+ (.*)", page.lower(), re.M)}

    for target in re.findall(r"\]\((?!http)(.*?)\)", PAGE):
        path, _, anchor = target.partition("#")
        linked = (ROOT / "docs" / path) if path else ROOT / "docs" / "operations.md"
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target


# What the page has one do


@contextmanager
def relay_of(command: str, folder: Path) -> Iterator[tuple[Lines, int, int]]:
    """The relay of a command on the page, on ports that are free: its log and the ports of its TLS endpoints."""
    twistd, *arguments = shlex.split(re.sub(r"tcp:80\d\d", "tcp:0:interface=127.0.0.1", command))
    assert twistd == "twistd"
    log = start(TWISTD, *arguments, cwd=folder)
    try:
        publish = int(log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        subscribe = int(log.wait_for(r"subscribers with TLS on 127\.0\.0\.1:(\d+)")[1])
        yield log, publish, subscribe
    finally:
        log.process.terminate()
        log.wait_for_end()


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, timeout=DEADLINE)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of the page were run, in their order, but for the last of each block."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl (Debian: openssl)")
    folder = tmp_path_factory.mktemp("certificates")
    for title in ("TLS", "Certificates for each role"):
        for command in commands(title)[0][:-1]:
            done = shell(command, folder)
            assert done.returncode == 0, (command, done.stderr)
    return folder


def strict(folder: Path) -> ssl.SSLContext:
    """A client as picky as Python 3.13 is by default."""
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def test_five_commands_are_enough_for_tls(certificates: Path) -> None:
    made, [subscribe] = commands("TLS")[:2]
    assert len(made) == 5
    with relay_of(made[-1], certificates) as (log, publish_port, subscribe_port):
        subscriber = subprocess.Popen(
            shlex.split(subscribe.replace("8012", str(subscribe_port))),
            cwd=certificates,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            log.wait_for("subscriber .* connected")
            with dial(publish_port, strict(certificates), NAME) as publisher:
                publisher.sendall(frame(b"hello"))
                assert subscriber.stdout is not None
                assert subscriber.stdout.read(9) == frame(b"hello")
        finally:
            subscriber.kill()
            subscriber.communicate()
    assert not log.find("(publishers|subscribers) on ")  # the plain ports are closed


def test_only_who_has_a_certificate_of_the_publishers_authority_publishes(certificates: Path) -> None:
    made, [publish] = commands("Certificates for each role")[:2]
    with (
        relay_of(made[-1], certificates) as (log, publish_port, subscribe_port),
        dial(subscribe_port, strict(certificates), NAME) as subscriber,
    ):
        log.wait_for("subscriber .* connected")
        with dial(publish_port, strict(certificates), NAME) as nobody, suppress(OSError):
            nobody.sendall(frame(b"forged"))
            assert nobody.recv(1) == b""
        log.wait_for("TLS handshake failed, .*; peer did not return a certificate")
        assert shell(publish.replace("8011", str(publish_port)), certificates).returncode == 0
        assert subscriber.recv(100) == frame(b"hello")


def refused(port: int, context: ssl.SSLContext, host: str = "localhost") -> None:
    """Connect, and read until the relay or the client itself ends that."""
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain,
        context.wrap_socket(plain, server_hostname=host) as peer,
    ):
        peer.recv(1)


def test_the_words_of_tls_errors_are_those_of_the_page(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    words = [row[0].strip("`") for row in table(section("TLS errors"), "words")]
    old = authority.client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("AES128-SHA")
    config = tmp_path / "relay.toml"

    def write(certificate: Path) -> None:
        config.write_text(f'[tls]\ncertificate = "{certificate}"\npublisher-ca = "{authority.ca}"\n')

    write(authority.issue())
    doors = ("--publish-tls", "tcp:0:interface=127.0.0.1", "--subscribe-tls", "tcp:0:interface=127.0.0.1")
    with Relay("--config", str(config), "--log-level", "debug", *doors) as relay:
        publish = int(relay.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        subscribe = int(relay.log.wait_for(r"subscribers with TLS on 127\.0\.0\.1:(\d+)")[1])
        refused(publish, authority.client())
        refused(publish, authority.client(stranger.issue()))
        refused(publish, authority.client(authority.issue(until=yesterday)))
        refused(subscribe, stranger.client())
        refused(subscribe, authority.client(), "other.example.org")
        refused(subscribe, old)
        for said in (frame(b"hello"), b"GET / HTTP/1.1\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", subscribe), DEADLINE) as peer:
                peer.sendall(said)
                if said:
                    with suppress(OSError):
                        while peer.recv(100):
                            pass
        write(authority.issue(until=yesterday))
        relay.log.process.send_signal(signal.SIGHUP)
        relay.log.wait_for("reloaded; changed: certificate")
        refused(subscribe, authority.client())
        relay.log.wait_for("TLS handshake failed", 10)
        said_of = [match[1] for match in relay.log.find("TLS handshake failed, .*; (.*)$")]
    seen = {word for word in words for line in said_of if line.endswith(word)}
    assert all(any(line.endswith(word) for word in words) for line in said_of), said_of
    assert set(words) - seen == {"unsupported protocol"}  # Python's own TLS may not speak 1.1 any more


def test_a_reload_changes_what_it_can_says_so_and_takes_nothing_from_a_broken_file(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(EXAMPLE.read_text())
    with Relay("--config", str(config)) as relay:

        def reload(text: str) -> None:
            config.write_text(text)
            relay.log.process.send_signal(signal.SIGHUP)

        reload('buffer = "32MiB"\n[limits]\nmax-connections = 1\n')
        relay.log.wait_for("reloaded; changed: max-connections 1; only after a restart: buffer$")
        reload("slow = 'wait'")
        relay.log.wait_for(f"reload failed, everything stays as it was: {re.escape(str(config))}: slow: 'wait' is not")
        with socket.create_connection(("127.0.0.1", relay.subscribe_port), DEADLINE):
            with contextlib.suppress(ConnectionResetError):  # it may be refused before it knows that it is there
                socket.create_connection(("127.0.0.1", relay.publish_port), DEADLINE).close()
            relay.log.wait_for("refused: connection limit")  # of the first reload
        reload("")
        relay.log.wait_for("reloaded; changed: max-connections auto$")


def test_the_program_that_measures_memory_does(tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc, as Linux has it")
    [program] = re.findall(r"```python\n(.*?)```", section("Sizing"), re.DOTALL)
    authority = Authority(tmp_path)
    tls = ("--subscribe-tls", "tcp:0:interface=127.0.0.1", "--certificate", str(authority.issue()))
    with Relay(*tls) as relay:
        tls_port = relay.log.wait_for(r"subscribers with TLS on 127\.0\.0\.1:(\d+)")[1]
        for port, *more in ([str(relay.publish_port)], [tls_port, str(authority.ca)]):
            command = [sys.executable, "-c", program, str(relay.pid), port, "20", *more]
            done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE)
            figures = r"-?[\d.]+ bytes per connection\n-?[\d.]+ descriptors per connection\n"
            assert re.fullmatch(figures, done.stdout), done


def test_the_relay_warns_at_its_start_if_anybody_can_publish() -> None:
    anywhere = ("--publish", "tcp:0")
    warning = r"#warn\] whoever reaches 0\.0\.0\.0:\d+ can publish: --allow-publishers"
    with Relay(*anywhere) as relay:
        relay.log.wait_for(warning)
    with Relay(*anywhere, "--allow-publishers", "192.0.2.0/24") as relay:
        relay.log.wait_for("relaying messages")
        assert not relay.log.find("can publish")


def test_a_unix_socket_left_by_a_crash_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "publish.sock"
    for _ in range(2):
        with Relay("--publish", f"unix:{path}:mode=660") as relay:
            relay.log.wait_for("relaying messages")
            assert path.stat().st_mode & 0o777 == 0o660
            with socket.socket(socket.AF_UNIX) as publisher:
                publisher.connect(str(path))
                publisher.sendall(struct.pack("!I", 0))
            relay.log.wait_for(r"publisher unix disconnected: peer closed, 1 messages")
            relay.log.process.kill()
            relay.log.wait_for_end()
    assert path.exists()
