"""TLS 1.3 clients that ask again and again for new keys, and never read an answer, in a process of their own.

`python -m tests.kit.key_updates PORT COUNT [CLIENTS]` sends `COUNT` KeyUpdates (RFC 8446, section 4.6.3) over each
connection as fast as the server takes them, and prints how many that were before the server ended the connection.
Python's own `ssl` cannot send any, so OpenSSL's library is called, which that module has loaded.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading
from ctypes import CDLL, c_int, c_void_p
from ctypes.util import find_library

REQUESTED = 1
"""SSL_KEY_UPDATE_REQUESTED (openssl/ssl.h)."""

available = bool(find_library("ssl")) and ssl.HAS_TLSv1_3
"""Whether there is a library to be called."""


class Client:
    """A connection, after its handshake."""

    def __init__(self, connected: socket.socket) -> None:
        self._library = library = CDLL(find_library("ssl"))
        library.TLS_client_method.restype = library.SSL_CTX_new.restype = library.SSL_new.restype = c_void_p
        library.SSL_CTX_new.argtypes = library.SSL_new.argtypes = [c_void_p]
        library.SSL_set_fd.argtypes = library.SSL_key_update.argtypes = [c_void_p, c_int]
        library.SSL_connect.argtypes = library.SSL_do_handshake.argtypes = [c_void_p]
        self._connection = library.SSL_new(library.SSL_CTX_new(library.TLS_client_method()))
        library.SSL_set_fd(self._connection, connected.fileno())
        assert library.SSL_connect(self._connection) == 1, "no handshake"

    def update(self) -> bool:
        """Send one KeyUpdate that asks for another. Returns whether it was sent."""
        asked = self._library.SSL_key_update(self._connection, REQUESTED)
        return bool(asked == 1 and self._library.SSL_do_handshake(self._connection) == 1)


def flood(port: int, count: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connected:
        client = Client(connected)
        sent = 0
        while sent < count and client.update():
            sent += 1
    print(sent, flush=True)


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.nice(19)  # what they need themselves, as much as the relay does for them, is not the relay's doing
    port, count, clients = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    threads = [threading.Thread(target=flood, args=(port, count)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
