"""Asks a relay's web port for a path; gets its body, or one line about what is wrong and what to do.

The server at the other end may be anything, so the size of an answer and the time for it are limited.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path

TIMEOUT = 5.0  # seconds: a relay answers in some 0.03 s, and somebody waits at the screen
LARGEST = 16 * 2**20  # bytes of an answer: a page of /connections has some 300,000
TOKEN = 4096  # bytes of a token's file: a longer file is not meant to hold a token
WAY_OUT = "name the port that the relay's --web names"


class WebError(Exception):
    """The web port gave no answer to use. The text is one line for people that says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a web port. `path`: comes before all paths that are asked for, in case a proxy needs it."""

    tls: bool
    host: str
    port: int | None
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.tls else 'http'}://{host}{port}{self.path}"


class WebPort:
    """Asks one web port. Each request makes a connection, and reads the token from its file anew."""

    def __init__(self, address: Address, token_file: Path | None, timeout: float = TIMEOUT) -> None:
        self.address = address
        self._token_file = token_file
        self._timeout = timeout

    def get(self, path: str) -> bytes:
        """The body of the response for `path`. Raises WebError."""
        try:
            headers = self._headers()
        except OSError as error:
            raise WebError(f"{self._token_file}: {error.strerror}") from None
        except ValueError as error:
            raise WebError(str(error)) from None
        try:
            return self._ask(path, headers)
        except WebError as trouble:
            raise WebError(f"{self.address} {trouble}") from None
        except (OSError, HTTPException, UnicodeError) as error:
            raise WebError(f"{self.address} {self._explain(error)}") from None

    def _headers(self) -> dict[str, bytes]:
        return {} if self._token_file is None else {"Authorization": b"Bearer " + read_token(self._token_file)}

    def _ask(self, path: str, headers: dict[str, bytes]) -> bytes:
        address = self.address
        deadline = time.monotonic() + self._timeout
        connection = (HTTPSConnection if address.tls else HTTPConnection)(
            address.host, address.port, timeout=self._timeout
        )
        try:
            connection.request("GET", address.path + path, headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise WebError(self._refusal(response.status, path.partition("?")[0]))
            return _body(response, deadline)
        finally:
            connection.close()

    def _refusal(self, status: int, path: str) -> str:
        match status:
            case 401 if self._token_file is None:
                return "wants a token: give the relay's --web-token-file as --token-file"
            case 401:
                return f"refuses the token in {self._token_file}: give what the relay's --web-token-file has now"
            case 404:
                return f"has no {path} (404), so it is no relay's web port: {WAY_OUT}"
            case 500:
                return f"failed at {path} (500): the relay's log says why"
            case _:
                return f"answers {path} with status {status}, which no relay does: {WAY_OUT}"

    def _explain(self, error: OSError | HTTPException | UnicodeError) -> str:
        match error:
            case ConnectionRefusedError():
                return "is not there: start the relay with --web, or " + WAY_OUT
            case TimeoutError():
                return f"gives no answer within {self._timeout:g} s: if it is not the network, {WAY_OUT}"
            case ssl.SSLCertVerificationError():
                return f"is not to be trusted: {error.verify_message}"
            case ssl.SSLError():
                return "speaks no TLS that we understand: a relay's web port has none, try http:"
            case socket.gaierror():
                return f"has no address: {error.strerror}"
            case ConnectionError():
                return f"ends the connection without an answer: if it does so always, {WAY_OUT}"
            case HTTPException():
                return f"speaks no HTTP: {WAY_OUT}"
            case UnicodeError():  # what Python raises for a host name that cannot be encoded
                return "has no address: there is no such name"
            case _:
                return f"cannot be reached: {error.strerror or error}"


def _body(response: HTTPResponse, deadline: float) -> bytes:
    body = bytearray()
    while part := response.read1(65536):
        body += part
        if len(body) > LARGEST:
            raise WebError(f"answers with more than {LARGEST:,} bytes, which no relay does: {WAY_OUT}")
        if time.monotonic() > deadline:
            raise TimeoutError
    if response.length:  # bytes of the Content-Length that are missing
        raise ConnectionResetError
    return bytes(body)


def read_token(file: Path) -> bytes:
    """The token in `file`, without surrounding whitespace. Raises OSError, or ValueError if there is no token in it."""
    with file.open("rb") as opened:
        text = opened.read(TOKEN + 1)
    words = text.split()
    if len(words) != 1 or len(text) > TOKEN:
        raise ValueError(f"{file}: a token is one word in a file of its own")
    return words[0]
