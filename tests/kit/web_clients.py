"""Clients in Python that read the web port: `python -m tests.kit.web_clients NAME PORT COUNT`.

Each reads `COUNT` messages with a library that somebody else has written, and prints their texts as a JSON array.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import cast


def with_websockets(port: int, count: int) -> list[str]:
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}/ws", ping_interval=None) as socket:
        return [bytes(socket.recv(decode=False)).decode() for _ in range(count)]


def with_websockets_asyncio(port: int, count: int) -> list[str]:
    from websockets.asyncio.client import connect

    async def read() -> list[str]:
        async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
            return [(await socket.recv(decode=False)).decode() for _ in range(count)]

    return asyncio.run(read())


def with_websocket_client(port: int, count: int) -> list[str]:
    from websocket import create_connection

    socket = create_connection(f"ws://127.0.0.1:{port}/ws")
    try:
        return [cast(bytes, socket.recv()).decode() for _ in range(count)]
    finally:
        socket.close()


def with_aiohttp(port: int, count: int) -> list[str]:
    from aiohttp import ClientSession

    async def read() -> list[str]:
        async with ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/ws") as socket:
            return [(await socket.receive_bytes()).decode() for _ in range(count)]

    return asyncio.run(read())


def with_aiohttp_events(port: int, count: int) -> list[str]:
    from aiohttp import ClientSession

    async def read() -> list[str]:
        found: list[str] = []
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/events") as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    found.append(line.decode().removeprefix("data: ").rstrip("\n"))
                if len(found) == count:
                    break
        return found

    return asyncio.run(read())


def with_autobahn(port: int, count: int) -> list[str]:
    from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

    found: list[str] = []
    all_read = asyncio.Event()

    class Reader(WebSocketClientProtocol):
        def onMessage(self, payload: bytes, isBinary: bool) -> None:
            found.append(payload.decode())
            if len(found) == count:
                all_read.set()

    async def read() -> list[str]:
        loop = asyncio.get_running_loop()
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}/ws", loop=loop)
        factory.protocol = Reader
        await loop.create_connection(factory, "127.0.0.1", port)
        await all_read.wait()
        return found

    return asyncio.run(read())


CLIENTS: dict[str, tuple[str, Callable[[int, int], list[str]]]] = {
    "websockets": ("websockets", with_websockets),
    "websockets-asyncio": ("websockets", with_websockets_asyncio),
    "websocket-client": ("websocket", with_websocket_client),
    "aiohttp": ("aiohttp", with_aiohttp),
    "aiohttp-events": ("aiohttp", with_aiohttp_events),
    "autobahn": ("autobahn", with_autobahn),
}
"""By name: the module that it needs, and the client."""


def main() -> None:
    name, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(CLIENTS[name][1](port, count)))


if __name__ == "__main__":
    main()
