"""Other people's clients read `/ws` and `/events`: what they are sent is what was published."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.fakes import frame
from tests.kit.javascript import NODE, needs_node
from tests.kit.process import DEADLINE, start
from tests.kit.web import relay
from tests.kit.web_clients import CLIENTS

SCRIPT = str(Path(__file__).parents[1] / "kit" / "web_clients.cjs")
TEXTS = ["one", "", "zwei\ttabs", "три ✓", "x" * 70_000]
"""One with each length of a WebSocket frame's header, an empty one, and some that are not ASCII."""


def read(texts: list[str], *command: str) -> None:
    """Have the client that `command` starts read `texts`; it is given the port and how many they are."""
    with relay() as (running, port):
        client = start(*command, str(port), str(len(texts)))
        try:
            running.log.wait_for("subscriber .* connected by ")
            with socket.create_connection(("127.0.0.1", running.publish_port), DEADLINE) as publisher:
                publisher.sendall(b"".join(frame(text.encode()) for text in texts))
                assert client.wait_for_end() == 0, client.text
        finally:
            client.process.kill()
            client.wait_for_end()
        assert json.loads(client.text.splitlines()[-1]) == texts, client.text


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_in_python_reads_what_was_published(name: str) -> None:
    module, _ = CLIENTS[name]
    if importlib.util.find_spec(module) is None:
        package = name.removesuffix("-events").removesuffix("-asyncio")
        pytest.skip(f"{package} is not installed: pip install {package}")
    read(TEXTS, sys.executable, "-m", "tests.kit.web_clients", name)


@needs_node
@pytest.mark.parametrize("name", ["ws", "undici", "undici-events", "eventsource"])
def test_a_client_for_node_reads_what_was_published(name: str) -> None:
    assert NODE
    package = name.removesuffix("-events")
    if subprocess.run(
        [NODE, "-e", f"require.resolve({package!r})"], capture_output=True, cwd=Path(SCRIPT).parent
    ).returncode:
        pytest.skip(f"{package} is not installed: npm install {package}")
    events = "event" in name  # the HTML standard, section 9.2.6: of an event without data nobody is told
    read([text for text in TEXTS if text or not events], NODE, SCRIPT, name)
