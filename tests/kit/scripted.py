"""A server of the test's own for asyncio clients: each connection is played by a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from relay.wire.answer import Answer
from relay.wire.control import frame as control
from relay.wire.counted import HEADER
from tests.kit.fakes import frame
from tests.kit.resets import end_with_reset


class Peer:
    """The server's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def take(self) -> bytes:
        """The next frame without its header: a message, or the body of a control frame."""
        (header,) = HEADER.unpack(await self.reader.readexactly(4))
        return await self.reader.readexactly(header % 2**31)

    def say(self, *parts: Answer | bytes) -> None:
        """Send control frames and messages."""
        for part in parts:
            self.writer.write(frame(part) if isinstance(part, bytes) else control(part.write()))

    def reset(self) -> None:
        """End the connection with a reset."""
        end_with_reset(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()


@asynccontextmanager
async def serving(*plays: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[int]:
    """Play one connection after the other; each ends when its coroutine is over. Gives the port."""
    waiting = list(plays)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if waiting:
                with suppress(ConnectionError):  # the client may be gone
                    await waiting.pop(0)(Peer(reader, writer))
                    await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
