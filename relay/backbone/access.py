"""How NATS is reached: servers, credentials, certificates. Needs nats-py."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError

CONNECT = 3
"""Seconds within which a server must answer when a connection is made."""
FAREWELL = 1.0
"""Seconds that a connection may take to end."""
PING = 2
"""Seconds between two pings of a connection. Two that are not answered end it."""
ENDED = (ConnectionResetError, BrokenPipeError)
"""What a connection that the other side ends raises where it is read, and where it is written to."""
WAY_OUT = ": does it want another --backbone-certificate?"
"""What to ask when the other side ends a connection with TLS. An alert is what it says of that."""


class BadCredentials(ValueError):  # noqa: N818  # named for what was found
    """A file does not have what it should, or either side does not trust the other: waiting does not help."""


class NatsClient(Client):
    """A client of nats-py that does two things as it should: insisting on TLS, and ending a connection."""

    def __init__(self, secure: bool) -> None:
        """`secure`: whether there must be TLS."""
        super().__init__()
        self._secure = secure

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Called by nats-py with the first words of a server, before anything is said to it.

        If the server does not ask for TLS, nats-py goes on in clear, whatever it was told.
        """
        if self._secure and initial_connection and not info.get("tls_required"):
            raise BadCredentials("it offers no TLS, so it is told nothing")
        await super()._process_info(info, initial_connection)

    async def end(self) -> None:
        """End the connection. `close` alone waits until all is sent, which over a path that is cut is never."""
        try:
            await asyncio.wait_for(self.close(), FAREWELL)
        except (TimeoutError, OSError, NatsError):
            pass
        finally:
            writer = getattr(self._transport, "_io_writer", None)
            if writer is not None:
                writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Access:
    """Where the stream is, what it should be like, and as whom this relay comes."""

    servers: tuple[str, ...]
    """URLs of servers of one cluster."""
    stream: str
    replicas: int = 1
    """Servers on which the stream is kept, if it is made."""
    size: int = 10 * 2**30
    """Bytes that the stream may have, if it is made."""
    age: float = 0.0
    """Seconds for which messages stay in the stream, if it is made; 0: for ever."""
    credentials: str = ""
    """A file; empty for none."""
    ca: str = ""
    """A file with the authorities that sign the servers' certificates; empty: those of the system."""
    certificate: str = ""
    """A file with this relay's certificate and private key; empty for none."""

    @property
    def subject(self) -> str:
        """The subject of proposals."""
        return f"{self.stream}.proposals"

    @property
    def bucket(self) -> str:
        """The bucket of snapshots."""
        return f"{self.stream}-snapshots"

    def options(self) -> dict[str, Any]:  # Any: each option of nats-py has a type of its own
        """What nats-py is told, besides the server. Raises OSError and BadCredentials."""
        found = read_credentials(self.credentials) if self.credentials else {}
        if self.ca or self.certificate or any(server.startswith("tls:") for server in self.servers):
            found["tls"] = _tls(self.ca, self.certificate)
        return found


async def connect(access: Access, server: str, failed: Callable[[Exception], Awaitable[None]]) -> NatsClient:
    """Connect to one server. The connection is not renewed when it ends.

    `failed`: told of errors on the connection. Raises BadCredentials, and what nats-py and asyncio raise.
    """
    try:
        options = access.options()
    except OSError as error:
        raise BadCredentials(f"{error.filename or access.ca}: {error.strerror}") from None
    client = NatsClient(secure="tls" in options)
    reasons: list[Exception] = []
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns at the end of each connection of nats-py with TLS

    async def note(error: Exception) -> None:
        reasons.append(error)
        await failed(error)

    connecting = client.connect(
        servers=[server],
        name="relay",
        allow_reconnect=False,
        max_reconnect_attempts=1,  # nats-py tries a server that refuses connections again all the same: here once
        reconnect_time_wait=0,
        connect_timeout=CONNECT,
        ping_interval=PING,
        max_outstanding_pings=2,
        error_cb=note,
        **options,
    )
    try:
        await asyncio.wait_for(connecting, CONNECT)
    except (OSError, NatsError, BadCredentials) as error:
        await client.end()
        raise explained(telling(error, reasons), server, options) from None
    return client


def telling(error: Exception, reasons: Sequence[Exception]) -> Exception:
    """The most telling of what nats-py raised, `error`, and of what it told of meanwhile.

    The connection may be found lost, and may not even be closed, before it is read why the other side ended it.
    """
    last = reasons[-1] if reasons and isinstance(error, NoServersError) else error
    return next(filter(_distrust, reasons), last)


def explained(error: Exception, server: str, options: Mapping[str, Any]) -> Exception:
    """`error`, which kept a connection to `server` with `options` from being made, in words for people."""
    if distrust := _distrust(error):
        return BadCredentials(f"{server}: {distrust}")
    if isinstance(error, NoServersError):
        return ConnectionRefusedError("it takes no connections")
    if isinstance(error, ENDED) and "tls" in options:  # with TLS 1.3 that may be all that it says
        return ConnectionResetError(f"it ends the connection{WAY_OUT}")
    return error


def _distrust(error: Exception) -> str:
    """Why the two sides do not trust each other, in words for people; empty if `error` does not mean that."""
    if isinstance(error, BadCredentials):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        why = (error.reason or str(error)).replace("_", " ").lower()
        return f"no TLS with it: {why}{WAY_OUT if ' alert ' in why else ''}"
    if isinstance(error, NatsError) and any(word in str(error).lower() for word in ("authorization", "authentication")):
        return f"it refuses the credentials: {str(error).removeprefix('nats: ').strip(chr(39)).lower()}"
    return ""


def read_credentials(path: str) -> dict[str, Any]:
    """The options of nats-py for the credentials in a file. Raises OSError and BadCredentials.

    The file is one of NATS' own (a JWT and a seed), or has one line: the seed of an nkey, `USER:PASSWORD`, or a token.
    """
    text = Path(path).read_text(encoding="utf-8", errors="replace").strip()
    if "-----BEGIN NATS" in text:
        if "-----BEGIN USER NKEY SEED" not in text:
            raise BadCredentials(f"{path}: credentials of NATS without a seed")
        return {"user_credentials": path}
    if not text or len(text.split()) != 1:
        raise BadCredentials(f"{path}: no credentials of NATS, nor one line with a seed, USER:PASSWORD or a token")
    if text.startswith("SU") and len(text) == 58:
        _check_seed(path, text)
        return {"nkeys_seed_str": text}
    user, colon, password = text.partition(":")
    return {"user": user, "password": password} if colon else {"token": text}


def _check_seed(path: str, seed: str) -> None:
    try:
        nkeys.from_seed(bytearray(seed, "ascii"))
    except Exception:  # nkeys raises whatever it meets
        raise BadCredentials(f"{path}: no seed of an nkey, though it looks like one") from None


def _tls(ca: str, certificate: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except ssl.SSLError as error:
        raise BadCredentials(f"{ca}: no certificates of authorities: {error.reason}") from None
    if certificate:
        try:
            context.load_cert_chain(certificate)
        except ssl.SSLError as error:
            raise BadCredentials(f"{certificate}: no certificate with its private key: {error.reason}") from None
    return context
