"""The board for Grafana: every query is of metrics that the relay exports, with labels that they have."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.page import ROOT
from tests.kit.process import DEADLINE

BOARD = json.loads((ROOT / "deploy" / "grafana" / "relay.json").read_text())
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}
OF_PROMETHEUS = {"instance", "le"}
"""Labels that every metric has in Prometheus, or every histogram."""


def metrics() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric, by its name, as docs/operations.md has them."""
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(relay_\w+)` \| ([a-z ]+) \| ([^|]*) \|", page, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


METRICS = metrics()


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_of_metrics_that_there_are(query: str) -> None:
    names = re.findall(r"\brelay_\w+", query)
    assert names
    used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", query))
    for by in re.findall(r"by \(([\w, ]+)\)", query):
        used |= set(by.replace(" ", "").split(","))
    for name in names:
        kind, labels = METRICS[name.removesuffix("_bucket")]
        assert name.endswith("_bucket") == (kind == "histogram")
        assert used <= labels | OF_PROMETHEUS, used - labels
        assert (kind != "gauge") == ("rate(" in query), f"{name} is a {kind}"


def test_a_legend_has_labels_that_its_query_keeps() -> None:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            kept = {"instance"} | {
                word for by in re.findall(r"by \(([\w, ]+)\)", target["expr"]) for word in by.split(", ")
            }
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept, panel["title"]


def test_no_two_panels_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells
        taken |= cells
    assert max(x for x, _ in taken) < 24


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    rules = "groups:\n- name: board\n  rules:\n"
    for number, query in enumerate(QUERIES):
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        assert "$" not in query
        rules += f"  - record: query:{number}\n    expr: {json.dumps(query)}\n"
    (tmp_path / "rules.yml").write_text(rules)
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout
