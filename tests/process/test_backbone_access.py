"""How a relay gets to a real server of NATS: passwords, keys, credentials files, TLS; what it says if it does not."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from relay.backbone.access import FAREWELL, Access, BadCredentials, NatsClient, connect
from tests.kit.certificates import Authority
from tests.kit.nats import Nats, needs_nats
from tests.kit.nats_users import make_accounts, make_key
from tests.kit.process import DEADLINE, TWISTD, Relay
from tests.kit.proxy import Proxy
from tests.kit.session_peers import AcknowledgedPublisher, sized

pytestmark = needs_nats
SIZE = ("--backbone-size", "64MiB")


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def publish(*options: str) -> None:
    """Have a relay with these options accept messages, and say nothing that is no line of its log."""
    with Relay(*options, *SIZE) as relay:
        publisher = AcknowledgedPublisher(relay.publish_port, "p", sized)
        publisher.run(lambda: publisher.accepted >= 10)
        relay.log.wait_for("connected to the backbone")
    assert "eof_received" not in relay.log.text


def refused(*options: str) -> str:
    """The only line of a relay with these options, which cannot start."""
    ports = ("--publish", "tcp:0:interface=127.0.0.1", "--subscribe", "tcp:0:interface=127.0.0.1")
    command = [TWISTD, "-n", "--pidfile=", "relay", *ports, *options, *SIZE]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    return ended.stderr.strip()


def reason(access: Access) -> str:
    """Why a connection cannot be made."""

    async def ignore(error: Exception) -> None: ...

    with pytest.raises((BadCredentials, ConnectionResetError)) as raised:
        asyncio.run(connect(access, access.servers[0], ignore))
    return str(raised.value)


def tls(authority: Authority, more: str = "") -> str:
    """What the configuration of a server has that wants a client's certificate of `authority`."""
    own = authority.issue()
    return f'tls {{ cert_file: "{own}", key_file: "{own}", ca_file: "{authority.ca}", verify: true }}\n{more}'


def test_a_user_and_a_password_over_tls_with_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = str(authority.issue("relay.example"))
    secret = written(tmp_path / "secret", "relay:open:sesame\n")
    users = 'authorization { user: "relay", password: "open:sesame" }'
    with Nats(tmp_path, extra=tls(authority, users)) as nats:
        url = nats.url().replace("nats:", "tls:")
        options = ("--backbone", url, "--backbone-ca", str(authority.ca), "--backbone-certificate", certificate)
        publish(*options, "--backbone-credentials", str(secret))
        secret.write_text("relay:open:barley\n")
        assert refused(*options, "--backbone-credentials", str(secret)) == (
            f"relay cannot start: the backbone RELAY: {url.removesuffix('/RELAY')}: "
            "it refuses the credentials: authorization violation"
        )


def test_a_key(tmp_path: Path) -> None:
    key = make_key()
    with Nats(tmp_path, extra=f"authorization {{ users: [ {{ nkey: {key.public} }} ] }}") as nats:
        seed = written(tmp_path / "seed", key.seed + "\n")
        publish("--backbone", nats.url(), "--backbone-credentials", str(seed))
        seed.write_text(make_key().seed + "\n")
        access = Access((f"nats://127.0.0.1:{nats.nodes[0].port}",), "RELAY", credentials=str(seed))
        assert "it refuses the credentials" in reason(access)


def test_a_credentials_file(tmp_path: Path) -> None:
    accounts = make_accounts()
    with Nats(tmp_path, extra=accounts.configuration) as nats:
        file = written(tmp_path / "relay.creds", accounts.credentials)
        publish("--backbone", nats.url(), "--backbone-credentials", str(file))
        file.write_text(make_accounts().credentials)
        access = Access((f"nats://127.0.0.1:{nats.nodes[0].port}",), "RELAY", credentials=str(file))
        assert "it refuses the credentials" in reason(access)
        assert "it refuses the credentials" in reason(replace(access, credentials=""))


def test_who_is_not_who_the_other_side_expects_is_told_apart(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    own = str(authority.issue("relay.example"))
    with Nats(tmp_path, extra=tls(authority)) as nats:
        port = nats.nodes[0].port
        good = Access((f"tls://127.0.0.1:{port}",), "RELAY", ca=str(authority.ca), certificate=own)
        for access, words in (
            (replace(good, ca=str(other.ca)), "its certificate is not trusted: unable to get local issuer"),
            (replace(good, ca=""), "its certificate is not trusted: unable to get local issuer"),
            (
                Access((f"nats://127.0.0.1:{port}",), "RELAY"),
                "its certificate is not trusted: unable to get local issuer",
            ),
        ):
            assert words in reason(access)
        for certificate in ("", str(other.issue("relay.example"))) * 5:  # the end may be found in several ways
            assert "does it want another --backbone-certificate?" in reason(replace(good, certificate=certificate))


def test_a_file_that_is_not_there_ends_the_start_at_once(tmp_path: Path) -> None:
    missing = tmp_path / "token"
    told = refused("--backbone", "nats://127.0.0.1:1/RELAY", "--backbone-credentials", str(missing))
    assert told == f"relay cannot start: the backbone RELAY: {missing}: No such file or directory"


def test_a_connection_ends_also_if_what_was_said_cannot_be_sent(tmp_path: Path) -> None:
    async def ignore(error: Exception) -> None: ...

    async def talk(port: int) -> None:
        client = await connect(Access((), "RELAY"), f"nats://127.0.0.1:{port}", ignore)
        proxy.vanish()
        saying = asyncio.create_task(say(client))
        assert await asyncio.wait([saying], timeout=1) == (set(), {saying})
        begun = time.monotonic()
        await client.end()
        assert time.monotonic() - begun < 2 * FAREWELL
        saying.cancel()
        await asyncio.wait([saying], timeout=DEADLINE)
        assert saying.done()

    async def say(client: NatsClient) -> None:
        while True:
            await client.publish("anything", bytes(500_000))

    with Nats(tmp_path) as nats, Proxy(nats.nodes[0].port) as proxy:
        asyncio.run(talk(proxy.port))


def test_a_server_without_tls_is_told_no_secret_if_tls_is_wanted(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret", "relay:sesame\n")
    with Nats(tmp_path, extra='authorization { user: "relay", password: "sesame" }') as nats:
        url = nats.url().replace("nats:", "tls:")
        told = refused("--backbone", url, "--backbone-credentials", str(secret))
        assert told.endswith("it offers no TLS, so it is told nothing")
