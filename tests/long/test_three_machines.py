"""The three machines of docs/operations.md: their files as they stand there, on three addresses of one machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.nats import needs_nats
from tests.kit.page import PAGE, section
from tests.kit.walk import Step, clone, reader

NAMES = {"one": "127.0.0.1", "two": "127.0.0.2", "three": "127.0.0.3"}
READY = "relaying messages of up to"
[TEXT, *_] = re.findall(r"```text\n(.*?)```", section("Three machines from nothing"), re.DOTALL)
[TOML] = re.findall(r"```toml\n(.*?)```", section("Three machines from nothing"), re.DOTALL)


def written(text: str, name: str, folder: Path) -> str:
    """A file of the page as it is at the machine `name`, with what is of that machine alone in `folder`."""
    text = text.replace("server_name: one", f"server_name: {name}").replace("0.0.0.0", NAMES[name])
    text = text.replace("interface=127.0.0.1", f"interface={NAMES[name]}")
    text = re.sub(r'"(tcp:800\d)"', rf'"\1:interface={NAMES[name]}"', text)
    for other, address in NAMES.items():
        text = re.sub(rf"\b{other}:(?=\d)", f"{address}:", text)
    return text.replace("/var/lib/nats", str(folder / "nats")).replace("/run/credentials/relay.service", str(folder))


@needs_nats
def test_three_machines_with_the_files_of_the_page_are_one_relay(tmp_path: Path) -> None:
    token = re.search(r'token: "(.*)"', TEXT)
    assert token is not None
    for name in NAMES:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "nats.conf").write_text(written(TEXT, name, folder))
        (folder / "relay.toml").write_text(written(TOML, name, folder))
        (folder / "nats.token").write_text(token[1] + "\n")
        (folder / "nats.token").chmod(0o600)
    with reader(clone(tmp_path)) as somebody:
        if somebody is None:
            pytest.skip("needs unshare and nsenter, and the right to have a network of its own")
        for name in NAMES:
            somebody.do(f"nats-server -c {tmp_path / name}/nats.conf", Step("", until="Server is ready"))
        for name in NAMES:
            somebody.do(f"relay serve --config {tmp_path / name}/relay.toml", Step("", until=READY))
        for address in NAMES.values():
            somebody.do(f"relay subscribe --connect tcp:{address}:8002", Step("", until="connected to"))
            somebody.do(
                f"python3 -c 'import urllib.request as r; r.urlopen(\"http://{address}:8080/readyz\")'", Step("")
            )
            shows = (f"relay subscribe --connect tcp:{address}:8002", "#1  5 B")
            somebody.do(f"relay publish --connect tcp:{NAMES['one']}:8001 --count 1 --size 5", Step("", shows=shows))


def test_the_page_says_how_it_is_tried() -> None:
    for command in ("relay subscribe --connect tcp:three:8002", "relay publish --connect tcp:one:8001", "/readyz"):
        assert command in PAGE
