"""Control frames: what the two ends of a session tell each other between messages (`docs/protocol.md`).

A control frame is a header of 4 bytes, `0x80000000` plus a length, and that many bytes of UTF-8: one JSON object. It
can stand wherever a frame of the framing `int32` can. No message is that long, so nothing has to be escaped.

JSON (RFC 8259) leaves some things open. Here a key may come only once in an object, and NaN and the infinities, which
are not JSON, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from relay.wire.counted import HEADER

CONTROL = 0x80000000
"""The bit in a header that says that no message follows, but a control frame. `--max-message` stays below it."""
MAX_CONTROL = 4096
"""Most bytes of a control frame after its header: room for every key there is, and not worth an attack."""


class BadControl(Exception):  # noqa: N818  # named for what the peer did
    """What a peer sent is no control frame that can be understood; the words are for the peer."""


def is_control(header: int) -> bool:
    """Whether `header`, the first four bytes of a frame as a number, begins a control frame."""
    return CONTROL <= header <= CONTROL + MAX_CONTROL


def frame(body: bytes) -> bytes:
    """The control frame for `body`, the text of a JSON object."""
    return HEADER.pack(CONTROL + len(body)) + body


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
