"""The token that opens the web port: a secret in a file, sent with each request.

It is the token of HTTP's `Bearer` scheme (RFC 6750), or the password of its `Basic` scheme (RFC 7617), with any user
name, because browsers ask for that one.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from hmac import compare_digest
from pathlib import Path

from relay.config.config import Faults

MOST = 4096
"""Bytes of the file: more is another file."""


def read_token(file: str) -> bytes | None:
    """The token in a file, without space around it; None without a file. Raises Faults."""
    if not file:
        return None
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MOST + 1)
    except OSError as error:
        raise Faults([f"web-token-file: {file}: {error.strerror}"]) from None
    token = text.strip()
    if not token or len(text) > MOST or len(token.split()) != 1:
        raise Faults([f"web-token-file: {file}: a token is one word in a file of its own"])
    return token


def shown(authorization: bytes) -> bytes:
    """The token in the value of an `Authorization` header, empty if there is none."""
    scheme, _, value = authorization.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return value.strip()
        case b"basic":
            try:
                return b64decode(value.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
    return b""


def opens(authorization: bytes, token: bytes | None) -> bool:
    """Whether a request with that header may see anything. It takes as long whatever is wrong."""
    return token is None or compare_digest(shown(authorization), token)
