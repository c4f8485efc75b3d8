"""Control frames: what the two ends of a session tell each other between messages (`docs/protocol.md`).

A control frame is a frame whose length is `0x80000000` plus `n`, and of which only `n` bytes follow: one JSON object in
UTF-8. It can stand wherever a frame can. No message is that long, so nothing has to be escaped. Framings that can write
such a length have control frames (`CARRIERS`).

JSON (RFC 8259) leaves some things open. Here a key may come only once in an object, and NaN and the infinities, which
are not JSON, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from relay.wire.counted import Int32
from relay.wire.digits import Netstring, Octet
from relay.wire.headed import Headed
from relay.wire.varint import Varint

CONTROL = 0x80000000
"""The bit in a header that says that no message follows, but a control frame. `--max-message` stays below it."""
CARRIERS: tuple[type[Headed], ...] = (Int32, Varint, Octet, Netstring)
"""The framings that can write the length of a control frame."""
MAX_CONTROL = 4096
"""Most bytes of a control frame after its header: room for every key there is, and not worth an attack."""


class BadControl(Exception):  # noqa: N818  # named for what the peer did
    """What a peer sent is no control frame that can be understood; the words are for the peer."""


def is_control(length: int) -> bool:
    """Whether `length`, as the head of a frame says it, is that of a control frame."""
    return CONTROL <= length <= CONTROL + MAX_CONTROL


def frame(body: bytes, carrier: type[Headed] = Int32) -> bytes:
    """The control frame for `body`, the text of a JSON object, in the framing `carrier`."""
    return carrier.head(CONTROL + len(body)) + body + carrier.trailer


def write(values: Mapping[str, object]) -> bytes:
    """`values` as the text of a JSON object. Keys whose value is None are left out, except `lost`, where it counts."""
    present = {key: value for key, value in values.items() if value is not None or key == "lost"}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode()


def read(body: bytes) -> dict[str, object]:
    """The values in `body`, the text of a JSON object. Raises BadControl if it is anything else."""
    try:
        values = json.loads(body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise BadControl(f"a control frame must be UTF-8: byte {error.start} is not") from None
    except RecursionError:
        raise BadControl("a control frame must be a JSON object, and not nested so deeply") from None
    except ValueError as error:
        raise BadControl(f"a control frame must be a JSON object: {error}") from None
    if not isinstance(values, dict):
        raise BadControl('a control frame must be a JSON object, such as {"relay": 1, "type": "subscribe"}')
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found
