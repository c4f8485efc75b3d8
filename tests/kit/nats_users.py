"""Users of a server of NATS: keys, and the credentials files of its decentralized accounts."""

from __future__ import annotations

import json
import os
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass

import nkeys

UNLIMITED = dict.fromkeys(
    (
        "subs",
        "conn",
        "leaf",
        "imports",
        "exports",
        "data",
        "payload",
        "mem_storage",
        "disk_storage",
        "streams",
        "consumer",
    ),
    -1,
)


@dataclass(frozen=True)
class Key:
    """An nkey."""

    seed: str
    public: str

    def sign(self, data: bytes) -> bytes:
        signature: bytes = nkeys.from_seed(bytearray(self.seed, "ascii")).sign(data)
        return signature


def make_key(prefix: int = nkeys.PREFIX_BYTE_USER) -> Key:
    """A new key."""
    seed = nkeys.encode_seed(os.urandom(32), prefix)
    return Key(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())


@dataclass(frozen=True)
class Accounts:
    """An operator with one account, which has one user, and one for the system."""

    configuration: str
    """What the server's configuration has of them."""
    credentials: str
    """The user's credentials file."""


def make_accounts() -> Accounts:
    """New ones, with an account that may have streams."""
    operator = make_key(nkeys.PREFIX_BYTE_OPERATOR)
    account, system = make_key(nkeys.PREFIX_BYTE_ACCOUNT), make_key(nkeys.PREFIX_BYTE_ACCOUNT)
    user = make_key()
    by_operator = _token(operator, operator.public, "operator")
    of_account = _token(operator, account.public, "account", limits=UNLIMITED | {"wildcards": True})
    of_system = _token(operator, system.public, "account")
    of_user = _token(account, user.public, "user", subs=-1, data=-1, payload=-1)
    preloaded = f"{{ {account.public}: {of_account}, {system.public}: {of_system} }}"
    return Accounts(
        f"operator: {by_operator}\nresolver: MEMORY\nresolver_preload: {preloaded}\nsystem_account: {system.public}",
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n",
    )


def _token(issuer: Key, subject: str, kind: str, **said: object) -> str:
    """What `issuer` says of `subject`, signed: https://docs.nats.io, "JWTs and Privacy"."""
    now = int(time.time())
    about = {"jti": subject, "iat": now, "iss": issuer.public, "sub": subject, "name": kind}
    claims = about | {"nats": {"type": kind, "version": 2, **said}}
    signed = f"{_encoded({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encoded(claims)}"
    return f"{signed}.{_text(issuer.sign(signed.encode()))}"


def _encoded(value: object) -> str:
    return _text(json.dumps(value).encode())


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
