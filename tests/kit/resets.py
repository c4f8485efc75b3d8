"""Connections that end with a reset."""

from __future__ import annotations

import socket
from struct import pack


def end_with_reset(peer: socket.socket) -> None:
    """Have a connection end with a reset when it is closed: the relay hears of that at once, even if it is idle.

    After an orderly end it may not: that a subscriber sends no more is no reason to end it.
    """
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))


def reset(peer: socket.socket) -> None:
    """Close a connection with a reset."""
    end_with_reset(peer)
    peer.close()
