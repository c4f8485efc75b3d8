"""What the kernel knows about a connection."""

from __future__ import annotations

import sys

SIOCOUTQ = 0x5411
"""Linux's ioctl for the number of bytes in the send queue that the peer has not acknowledged (tcp(7), unix(7))."""


def on_its_way(descriptor: int) -> int | None:
    """Bytes that were sent over a socket and that the peer's kernel has not acknowledged; None where nobody knows.

    The end of our half counts as one. What a Unix socket has sent is on its way until the peer has read it.
    """
    if sys.platform != "linux":
        return None
    from fcntl import ioctl  # which not every system has

    try:
        return int.from_bytes(ioctl(descriptor, SIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # a socket that is closed has the number -1
        return None
