"""A relay with a web port, and questions to it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.process import DEADLINE, Relay, wait_until

WEB_PORT = ("--web", "tcp:0:interface=127.0.0.1")


@contextmanager
def relay(*options: str) -> Iterator[tuple[Relay, int]]:
    """A relay with a web port, and which."""
    with Relay(*WEB_PORT, *options) as running:
        yield running, int(running.log.wait_for(r"listening for web on 127\.0\.0\.1:(\d+)")[1])


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def rows(port: int, path: str = "/connections") -> list[dict[str, object]]:
    status, headers, body = ask(port, path)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    content = json.loads(body)
    found = content["ended" if "ended" in path else "connections"]
    assert isinstance(found, list)
    return found


def metric(port: int, sample: str) -> float:
    text = ask(port, "/metrics")[2].decode()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{sample} "))


def wait_for_metric(port: int, sample: str, value: float) -> None:
    wait_until(lambda: metric(port, sample) == value, f"{sample} {value:g}")
