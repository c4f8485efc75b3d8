"""The token that opens the web port: a secret in a file, sent with each request.

It is the token of HTTP's `Bearer` scheme (RFC 6750), or the password of its `Basic` scheme (RFC 7617) with any user
name. `Basic` is there because browsers ask people for a password.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from codecs import BOM_UTF8
from hmac import compare_digest
from os.path import abspath
from pathlib import Path
from stat import S_IROTH

from relay.config.config import Faults

MAX_TOKEN_FILE = 4096
"""Bytes that the file may have: a longer one is not meant to hold a token."""


def read_token(file: str) -> bytes | None:
    """The token in `file`, without surrounding whitespace; None if `file` is empty.

    Raises Faults if the file cannot be read, or holds something else than one word of printable ASCII: a browser could
    not send it.
    """
    if not file:
        return None
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(MAX_TOKEN_FILE + 1)
    except OSError as error:
        raise Faults([f"web-token-file: {abspath(file)}: {error.strerror}"]) from None
    token = text.removeprefix(BOM_UTF8).strip()
    if not re.fullmatch(rb"[!-~]+", token) or len(text) > MAX_TOKEN_FILE:
        raise Faults([f"web-token-file: {abspath(file)}: a token is one word, of ASCII, in a file of its own"])
    return token


def readable_by_all(file: str) -> bool:
    """Whether every user of this machine may read `file`, which must be there unless it is empty."""
    return bool(file) and bool(Path(file).stat().st_mode & S_IROTH)


def shown(authorization: bytes) -> bytes:
    """The token in `authorization`, the value of that header; empty if it has none."""
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
    """Whether a request with the header `authorization` is let in; `token`: what it has to show, None for anything.

    The comparison takes the same time wherever two tokens differ.
    """
    return token is None or compare_digest(shown(authorization), token)
