"""All framings, by name; and those of users, by the name of their class."""

from __future__ import annotations

from importlib import import_module

from relay.wire.counted import Int16, Int32
from relay.wire.delimited import Cr, Line, Nul
from relay.wire.digits import Netstring, Octet
from relay.wire.framing import Framing
from relay.wire.raw import Raw
from relay.wire.varint import Varint

FRAMINGS: dict[str, type[Framing]] = {
    "int32": Int32,
    "int16": Int16,
    "varint": Varint,
    "octet": Octet,
    "netstring": Netstring,
    "line": Line,
    "cr": Cr,
    "nul": Nul,
    "raw": Raw,
}
MAX_NAME = 64
"""Bytes of a framing's name, at most: a journal has room for so many."""
NEEDED = ("receive", "partial", "frame", "message", "ends", "self_delimiting", "incomplete")
"""What a class must have to be a framing."""


def find_framing(name: str) -> type[Framing]:
    """The framing `name`: one of `FRAMINGS`, or a class as `package.module:Class`, whose module is imported.

    Raises ValueError, with words for an operator, if there is none or if it cannot be used.
    """
    if name in FRAMINGS:
        return FRAMINGS[name]
    module, colon, attribute = name.partition(":")
    if len(name.encode()) > MAX_NAME:
        raise ValueError(f"{name!r} is longer than {MAX_NAME} bytes")
    if not (colon and module and attribute.isidentifier()):
        raise ValueError(
            f"{name!r} is not one of {', '.join(FRAMINGS)}, nor a class of your own as package.module:Class"
        )
    try:
        found = getattr(import_module(module), attribute, None)
    except Exception as error:  # a module of the user's raises what it likes
        raise ValueError(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from None
    missing = [needed for needed in NEEDED if not hasattr(found, needed)]
    if not isinstance(found, type) or missing:
        lacks = f"it has no {missing[0]}" if isinstance(found, type) else f"{module} has no such class"
        raise ValueError(f"{name!r} is no framing: {lacks}")
    framing: type[Framing] = found
    if not framing.self_delimiting:
        raise ValueError(f"{name!r} cannot be used: it is not self-delimiting")
    return framing


def framing_name(framing: type[Framing]) -> str:
    """The name by which `find_framing` finds it."""
    for name, known in FRAMINGS.items():
        if known is framing:
            return name
    return f"{framing.__module__}:{framing.__qualname__}"
