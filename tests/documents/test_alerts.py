"""The alerts for Prometheus: beside what the relay exports and the page says, by promtool, and in a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from relay.observe.metrics import Metrics
from tests.kit.fakes import frame
from tests.kit.page import section, table
from tests.kit.process import DEADLINE, Lines, Relay, start
from tests.kit.snapshots import NOW

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = (FOLDER / "alerts.yml").read_text()
TESTS = (FOLDER / "alerts_test.yml").read_text()
WEB = ("--web", "tcp:0:interface=127.0.0.1")
TOKEN = "a" * 32

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs prometheus (Debian: prometheus)"
)


@dataclass(frozen=True)
class Alert:
    """A rule, as it is written in the file."""

    name: str
    text: str
    """All of it, comments before it excepted."""
    expression: str
    wait: str
    severity: str
    summary: str
    description: str

    @property
    def section(self) -> str:
        """Of docs/operations.md, that the description ends with."""
        found = re.search(r"docs/operations\.md, section ([^.]+)\.$", self.description)
        assert found is not None, self.name
        return found[1]


def alerts() -> list[Alert]:
    """Those of the file, which is written so that this needs no parser of YAML."""
    found = []
    for text in re.findall(r"^      - alert: .*\n(?:        .*\n)+", RULES, re.MULTILINE):
        one = re.fullmatch(
            r" +- alert: (?P<name>\w+)\n"
            r" +expr: \|-\n(?P<expression>(?: {10}.*\n)+)"
            r" +for: (?P<wait>\w+)\n"
            r" +labels:\n +severity: (?P<severity>\w+)\n"
            r" +annotations:\n +summary: (?P<summary>.*)\n"
            r" +description: >-\n(?P<description>(?: {12}.*\n)+)",
            text,
        )
        assert one is not None, text
        parts = one.groupdict() | {"description": " ".join(one["description"].split())}
        found.append(Alert(text=text, **parts))
    assert len(found) == RULES.count("alert:")
    return found


ALERTS = alerts()


# The file, the relay and the page


@contextmanager
def relay(*options: str) -> Iterator[tuple[Relay, int]]:
    """A relay with a web port, and which."""
    with Relay(*WEB, *options) as running:
        yield running, int(running.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, str]]]:
    """What a relay with a journal that has just started exports: the labels of every sample, by its name."""
    journal = ("--journal", str(tmp_path_factory.mktemp("journal")))
    with relay(*journal) as (_, port), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
        found: dict[str, list[dict[str, str]]] = {}
        for family in parse(answer.read().decode()):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(dict(sample.labels))
    for family in Metrics(lambda: NOW, lambda: 1).collect():  # those of a backbone, which this relay does not have
        for sample in family.samples:
            found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


@pytest.mark.parametrize("text", [RULES, TESTS], ids=["alerts.yml", "alerts_test.yml"])
def test_every_metric_and_label_of_the_files_is_one_that_a_relay_exports_from_its_start(
    text: str, exported: dict[str, list[dict[str, str]]]
) -> None:
    """`increase` sees a first event only if there was a 0 before it."""
    used = re.findall(r"\b(relay_\w+)(?:\{(.*?)\})?", text)
    assert len(used) >= len(ALERTS)
    for name, selectors in used:
        assert name in exported, name
        wanted = {
            label: set(values.split("|"))
            for label, values in re.findall(r'(\w+)=~?"(.*?)"', selectors)
            if label not in {"job", "instance"}  # which Prometheus adds
        }
        for label, values in wanted.items():
            assert values <= {labels.get(label) for labels in exported[name]}, (name, label)


def test_each_says_which_relay_and_refers_to_a_section_of_the_page_that_is_there() -> None:
    for alert in ALERTS:
        assert "{{ $labels.instance }}" in alert.summary
        assert section(alert.section)


def test_the_table_on_the_page_is_that_of_the_file() -> None:
    rows = table(section("Alerts"), "alert")
    shown = [(row[0].strip("`"), row[1], row[2], row[3]) for row in rows]
    assert shown == [
        (alert.name, alert.severity, alert.wait.replace("m", " minutes"), alert.description.partition(". ")[0])
        for alert in ALERTS
    ]
    assert len(rows) == 15


def test_what_the_file_says_of_a_setting_is_so() -> None:
    """Every option that a description names exists, and one that it has you reload needs no restart."""
    settings = {row[0].split()[0].strip("`"): row[3] for row in table(section("Configure"), "option")}
    for alert in ALERTS:
        named = set(re.findall(r"--[a-z-]+", alert.description))
        assert named <= set(settings), alert.name
        if "and reload" in alert.description:
            assert {settings[option] for option in named} <= {"yes"}, alert.name


# By promtool


def promtool(*arguments: str, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    checked = promtool("check", "rules", "alerts.yml")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    assert "15 rules found" in checked.stdout


@needs_promtool
def test_each_fires_when_it_should_and_is_silent_when_it_should_not() -> None:
    tested = promtool("test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def changed(alert: Alert) -> Iterator[tuple[str, str]]:
    """Ways in which a rule may be wrong: what, and the expression of the wrong one and how long it waits."""
    whole = alert.expression
    yield "never", "          vector(1) > 1\n"
    yield "always", "          vector(1)\n"
    parts = re.split(r"^ +(?:or|and|unless)\n", whole, flags=re.MULTILINE)
    if len(parts) > 1:
        yield from ((f"only part {number}", part) for number, part in enumerate(parts, 1))
    for threshold in re.finditer(r"(?<=> )\d[\d.]*$|(?<=, )\d+(?=\))", whole, re.MULTILINE):
        if float(threshold[0]):
            for factor in (0.5, 2.0):
                new = f"{float(threshold[0]) * factor:g}"
                yield f"{new} at {threshold.start()}", whole[: threshold.start()] + new + whole[threshold.end() :]


def cases_of(alert: Alert) -> str:
    """The file of tests with those that have a metric of the alert: with all of them, promtool takes seconds a run."""
    head, *tests = re.split(r"^(?=  - name: )", TESTS, flags=re.MULTILINE)
    metrics = set(re.findall(r"\b(?:relay_\w+|up)\b", alert.expression))
    return "".join([head, *(test for test in tests if metrics & set(re.findall(r"\w+", test)))])


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_the_tests_of_an_alert_fail_if_it_is_wrong(alert: Alert, tmp_path: Path) -> None:
    (tmp_path / "alerts_test.yml").write_text(cases_of(alert))
    wrong = {what: alert.text.replace(alert.expression, expression) for what, expression in changed(alert)}
    minutes = int(alert.wait.removesuffix("m"))
    for other in (0, minutes * 2):
        wrong[f"for {other} minutes"] = alert.text.replace(f"for: {alert.wait}", f"for: {other}m")
    assert len(wrong) >= 4
    for what, text in wrong.items():
        assert text != alert.text, what
        (tmp_path / "alerts.yml").write_text(RULES.replace(alert.text, text))
        tested = promtool("test", "rules", "alerts_test.yml", folder=tmp_path)
        assert tested.returncode == 1, what
        assert "FAILED" in tested.stdout + tested.stderr, what
        assert "parse error" not in tested.stdout + tested.stderr, (what, tested.stderr)


# In Prometheus


class Prometheus:
    """A server on a port that the kernel chose, with the configuration of the page and the alerts."""

    def __init__(self, log: Lines) -> None:
        self.port = int(log.wait_for(r"Listening on.* address=127\.0\.0\.1:(\d+)")[1])
        log.wait_for("Server is ready to receive web requests")  # until then it answers with status 503

    def ask(self, path: str) -> dict[str, object]:
        """The `data` of an answer of its API."""
        with urlopen(Request(f"http://127.0.0.1:{self.port}/api/v1/{path}"), timeout=DEADLINE) as answer:
            content = json.load(answer)
        assert content["status"] == "success", content
        data = content["data"]
        assert isinstance(data, dict)
        return data

    def value(self, expression: str) -> float | None:
        """Of the only sample that there is, if there is one."""
        result = self.ask(f"query?query={quote(expression)}")["result"]
        assert isinstance(result, list)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None


@contextmanager
def prometheus(folder: Path, scraped: int) -> Iterator[Prometheus]:
    """One that looks at the relay with that web port, and at the rules, every second."""
    [job] = re.findall(r"```yaml\n(- job_name.*?)```", section("Metrics"), re.DOTALL)
    (folder / "token").write_text(TOKEN + "\n")
    job = job.replace("127.0.0.1:8003", f"127.0.0.1:{scraped}").replace("/etc/relay/token", str(folder / "token"))
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n"
        f"rule_files: [{FOLDER / 'alerts.yml'}]\n"
        f"scrape_configs:\n{textwrap.indent(job, '  ')}"
    )
    log = start(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    )
    try:
        yield Prometheus(log)
    finally:
        log.process.terminate()
        try:
            log.wait_for_end()
        finally:
            log.process.kill()


def until(true: Callable[[], bool], shown: Callable[[], object] = lambda: None) -> None:
    """Wait for that; `shown` is what one wants to see if it does not come."""
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, shown()
        time.sleep(0.1)


@needs_prometheus
def test_a_real_prometheus_with_the_configuration_of_the_page_has_the_relays_numbers_and_the_alerts(
    tmp_path: Path,
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    with relay("--web-token-file", str(token)) as (running, port), prometheus(tmp_path, port) as server:
        until(lambda: server.value('up{job="relay"}') == 1)
        until(lambda: server.value("relay_published_messages_total") == 0)
        messages = [frame(b"%d" % number) for number in range(1234)]
        with socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE) as publisher:
            publisher.sendall(b"".join(messages))
        until(lambda: server.value("relay_published_messages_total") == len(messages))
        until(lambda: server.value("relay_published_bytes_total") == sum(map(len, messages)))

        def rules() -> list[dict[str, object]]:
            groups = server.ask("rules")["groups"]
            assert isinstance(groups, list)
            return [rule for group in groups for rule in group["rules"]]

        def states() -> list[tuple[object, ...]]:
            return [(rule["name"], rule["health"], rule["state"]) for rule in rules()]

        until(lambda: states() == [(alert.name, "ok", "inactive") for alert in ALERTS], states)
        assert running.stop() == 0
        until(lambda: server.value('ALERTS{alertstate="pending"}') == 1)
        [pending] = [rule for rule in rules() if rule["state"] == "pending"]
        assert pending["name"] == "RelayDown"
        found = pending["alerts"]
        assert isinstance(found, list)
        assert f"Relay 127.0.0.1:{port} is down" in found[0]["annotations"]["summary"]
