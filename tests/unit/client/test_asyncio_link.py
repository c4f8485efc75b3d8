"""Connections of the asyncio front: what they fail with."""

from __future__ import annotations

import asyncio
import ssl

from twisted.trial.unittest import SynchronousTestCase

from relay.client.asyncio_link import Dialer
from relay.client.connection import HANDSHAKES
from relay.client.errors import ConnectionFault, TLSFailed
from tests.kit.folders import temporary_folder
from tests.kit.scripted import Peer, serving


class DialerTests(SynchronousTestCase):
    def test_plain_text_instead_of_tls_is_told_as_that(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.reader.read(10)
            peer.writer.write(b"220 this is something else\r\n")

        async def play() -> None:
            async with serving(server) as port:
                with self.assertRaises(TLSFailed):
                    await Dialer("127.0.0.1", port, None, ssl.create_default_context())()

        asyncio.run(asyncio.wait_for(play(), 30))

    def test_a_server_that_ends_every_handshake_knows_no_tls(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.reader.read(10)
            peer.reset()

        async def play() -> None:
            found = []
            async with serving(*[server] * HANDSHAKES) as port:
                dial = Dialer("127.0.0.1", port, None, ssl.create_default_context())
                for _ in range(HANDSHAKES):
                    try:
                        await dial()
                    except (ConnectionFault, TLSFailed) as error:
                        found.append(type(error))
            self.assertEqual(found, [ConnectionFault] * (HANDSHAKES - 1) + [TLSFailed])

        asyncio.run(asyncio.wait_for(play(), 30))

    def test_a_server_that_does_not_answer_a_handshake_knows_no_tls_either(self) -> None:
        async def server(peer: Peer) -> None:
            await peer.reader.read()
            await peer.reader.read()

        async def play() -> None:
            found = []
            async with serving(*[server] * HANDSHAKES) as port:
                dial = Dialer("127.0.0.1", port, None, ssl.create_default_context(), handshake=0.01)
                for _ in range(HANDSHAKES):
                    try:
                        await dial()
                    except (ConnectionFault, TLSFailed) as error:
                        found.append(type(error))
            self.assertEqual(found, [ConnectionFault] * (HANDSHAKES - 1) + [TLSFailed])

        asyncio.run(asyncio.wait_for(play(), 30))

    def test_a_unix_socket_is_one_more_address(self) -> None:
        path = temporary_folder(self) / "socket"

        async def play() -> None:
            async with await asyncio.start_unix_server(lambda reader, writer: writer.close(), path):
                reader, writer = await Dialer("", 0, path, None)()
                self.assertEqual(await reader.read(), b"")
                writer.close()

        asyncio.run(asyncio.wait_for(play(), 30))
