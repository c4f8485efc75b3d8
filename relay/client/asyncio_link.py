"""The connections of the asyncio front: how they are made, one after the other, read, and ended."""

from __future__ import annotations

import asyncio
import os
import ssl as tls
from collections.abc import Awaitable, Callable
from contextlib import suppress

from relay.client.connection import GOODBYE, GRACE, HANDSHAKES, Core
from relay.client.errors import ClientError, ConnectionFault, TLSFailed
from relay.client.kernel import on_its_way
from relay.client.retry import Retry

READ = 256 * 1024
"""Bytes read at once, at most."""
CONNECT = 10.0
"""Seconds that connecting may take, with the TLS handshake."""
HANDSHAKE = 5.0
"""Seconds that a TLS handshake may take. A port for subscribers that knows no TLS says nothing to it."""

Path = str | os.PathLike[str]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Awaitable[Streams]]


class Dialer:
    """Makes connections to a server."""

    def __init__(
        self, host: str, port: int, path: Path | None, ssl: tls.SSLContext | None, handshake: float = HANDSHAKE
    ) -> None:
        """`path`: of a Unix socket, instead of `host` and `port`. `handshake`: seconds that one may take."""
        self._host = host
        self._port = port
        self._path = path
        self._ssl = ssl
        self._handshake = handshake if ssl else None
        self._broken = 0  # handshakes that the server broke off, in a row
        self._ever = False  # whether there has been a connection

    async def __call__(self) -> Streams:
        """A new connection. Raises OSError or ConnectionFault if there is none now, TLSFailed if there can be none."""
        try:
            async with asyncio.timeout(CONNECT):
                streams = await self._open()
        except tls.SSLError as error:
            if not _broken_off(error):
                raise tls_failed(error) from None
            raise self._after_break(error) from None
        except (ConnectionResetError, ConnectionAbortedError) as error:
            raise self._after_break(error) from None
        except TimeoutError:
            raise ConnectionFault(f"connecting took more than {CONNECT:g} s") from None
        self._ever = True
        return streams

    async def _open(self) -> Streams:
        if self._path is None:
            return await asyncio.open_connection(
                self._host, self._port, ssl=self._ssl, ssl_handshake_timeout=self._handshake, limit=READ
            )
        name = self._host if self._ssl else None
        return await asyncio.open_unix_connection(
            self._path, ssl=self._ssl, server_hostname=name, ssl_handshake_timeout=self._handshake, limit=READ
        )

    def _after_break(self, error: OSError) -> ConnectionFault | ClientError:
        """The server ended the connection, or did not answer the handshake: it may be busy, or know no TLS."""
        self._broken += 1
        if self._ssl is None or self._ever or self._broken < HANDSHAKES:
            return ConnectionFault(f"no connection: {error}")
        return TLSFailed("the server completes no TLS handshake: check the port, which may be one without TLS")


def _broken_off(error: tls.SSLError) -> bool:
    return isinstance(error, tls.SSLEOFError | tls.SSLZeroReturnError | tls.SSLSyscallError)


def tls_failed(error: tls.SSLError) -> TLSFailed:
    """`error` in words that help."""
    return TLSFailed.because(str(error.strerror or error))


class Link:
    """What subscriptions and publications do with their connections: make one after the other, read, and end them."""

    def __init__(self, dial: Dial, core: Core, retry: Retry) -> None:
        self._dial = dial
        self._core = core
        self._retry = retry
        self._wait = 0.0  # seconds, before the next attempt
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._limit: asyncio.Timeout | None = None  # of a read that is under way
        self._read_at = 0.0  # when a read ended
        self._ended = False  # whether the server ended the last connection after all that was sent had arrived
        self.last_fault: Exception | None = None
        """Why the last connection ended, or could not be made; None if that never happened."""

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _connect(self) -> None:
        """Make a connection, however long that takes. Raises what `Retry.failed` raises."""
        while self._writer is None:
            await asyncio.sleep(self._wait)
            try:
                self._reader, self._writer = await self._dial()
            except (OSError, ConnectionFault, ClientError) as error:
                self._try_later(error)
            else:
                self._ended = False
                self._writer.write(self._core.connected(self._now()))
                if self._core.welcomed:
                    self._retry.succeeded()

    def _try_later(self, error: Exception) -> None:
        """Note that a connection ended, or could not be made. Raises what `Retry.failed` raises."""
        self.last_fault = error
        self._wait = self._retry.failed(error, self._now())

    async def _read(self) -> bytes:
        """The next bytes; none, with `fault` of the core set, if the connection is of no more use."""
        core, reader = self._core, self._reader
        assert reader is not None
        if self._now() > self._read_at + GRACE:
            core.excuse(self._now())  # the program was busy with something else
        try:
            async with asyncio.timeout_at(core.deadline) as limit:
                self._limit = limit
                data = await reader.read(READ)
        except OSError as error:
            if limit.expired():
                core.check(max(self._now(), core.deadline or 0.0))  # a timeout may come early by the clock's resolution
            elif isinstance(error, tls.SSLError) and not core.ever_welcomed and not _broken_off(error):
                core.fail(tls_failed(error))  # TLS 1.3 refuses a client's certificate only after the handshake
            else:
                core.closed(str(error))
            return b""
        finally:
            self._limit = None
            self._read_at = self._now()
        if not data:
            self._ended = self._arrived()
            core.closed("the relay closed the connection")
        return data

    def _arrived(self) -> bool:
        """Whether the server's kernel has all that was sent; taken for granted where nobody knows."""
        assert self._writer is not None
        transport = self._writer.transport
        return not (transport.get_write_buffer_size() or on_its_way(transport.get_extra_info("socket").fileno()))

    def _look_again(self) -> None:
        """The deadline of the core may have changed while something is read."""
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._core.deadline)

    def _hang_up(self) -> None:
        """Drop the connection, if there is one."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _say_goodbye(self) -> None:
        """End the connection in an orderly way, if there is one: what was written is still sent."""
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                async with asyncio.timeout(GOODBYE):
                    await self._writer.wait_closed()
        self._hang_up()
