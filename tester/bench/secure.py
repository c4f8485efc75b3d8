"""A TLS connection of the load, used like a socket whose reads never block and whose writes always do.

The load offers one version and one cipher, so that all systems do the same work: TLS 1.3 with the cipher that every
implementation of it must have (RFC 8446, section 9.1).
"""

from __future__ import annotations

import select
import socket
import time
from functools import cache

from OpenSSL import SSL

from tester.tls import ERRORS, Tls, TlsError, connection, explain, verify

CIPHER = "TLS_AES_128_GCM_SHA256"
PATIENCE = 30.0  # seconds for a handshake
RECORD = 16 * 1024  # bytes in a record, at most (RFC 8446, section 5.1)
AT_ONCE = 16  # records read with one call, at most, so that other connections do not wait for long


class Secure:
    """One connection whose handshake is complete, with a peer that has a certificate for `host`."""

    def __init__(self, plain: socket.socket, host: str, tls: Tls) -> None:
        """Do the handshake over `plain`. Raises `TlsError` or OSError if it fails."""
        self._plain = plain
        self._host = host
        self._tls = connection(_context(tls), host, plain)
        plain.setblocking(False)
        try:
            self._shake_hands()
        except ERRORS as error:
            raise TlsError(explain(error, host, self._tls)) from None
        self.version = self._tls.get_protocol_version_name()
        self.cipher = self._tls.get_cipher_name() or ""

    def _shake_hands(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._tls.do_handshake()
                break
            except SSL.WantReadError:
                if not select.select([self], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    raise TimeoutError(f"no answer to the TLS handshake in {PATIENCE:g} s") from None
            except SSL.SysCallError as error:
                raise ConnectionError(f"it ended the TLS handshake ({error.args[-1]})") from None
        verify(self._tls, self._host)

    def fileno(self) -> int:
        return self._plain.fileno()

    def setblocking(self, flag: bool) -> None:
        """Do nothing: reads never block anyway."""

    def sendall(self, data: bytes) -> None:
        """Send all of `data`, waiting as long as necessary."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.send(rest) :]
            except SSL.WantWriteError:
                select.select([], [self], [])
            except SSL.Error as error:
                raise self._broken(error) from None

    def recv(self, size: int) -> bytes:
        """What has arrived, empty at the end of the stream. Raises BlockingIOError if nothing has."""
        pieces = bytearray(min(size, AT_ONCE * RECORD))
        return bytes(memoryview(pieces)[: self.recv_into(pieces)])

    def recv_into(self, buffer: bytearray, size: int = 0, flags: int = 0) -> int:
        """Read what has arrived into `buffer`, which has room for at least one record. Returns the number of bytes.

        `size` and `flags` are ignored: what nobody looks at has to be decrypted as well. The result is 0 at the end of
        the stream. Raises BlockingIOError if nothing has arrived.
        """
        room = memoryview(buffer)
        read = 0
        try:
            for _ in range(min(AT_ONCE, len(buffer) // RECORD)):
                got = self._tls.recv_into(room[read:], RECORD)
                read += got
                if got < RECORD:  # this is probably all; if not, the selector says so
                    break
        except SSL.WantReadError:
            if not read:
                raise BlockingIOError from None
        except SSL.ZeroReturnError:
            pass
        except SSL.Error as error:
            raise self._broken(error) from None
        return read

    def _broken(self, error: SSL.Error) -> Exception:
        if isinstance(error, SSL.SysCallError):
            return ConnectionError(str(error.args[-1]))
        return TlsError(explain(error, self._host, self._tls))


@cache
def _context(tls: Tls) -> SSL.Context:
    context = tls.context()
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHER.encode())
    return context
