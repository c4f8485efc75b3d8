"""Why a connection ended: one closed list, with the same words in the log, in metrics and in JSON."""

from __future__ import annotations

from enum import StrEnum


class CloseReason(StrEnum):
    """Why a connection ended. Each connection ends with exactly one reason."""

    PEER_CLOSED = "peer closed"
    """The peer ended the connection in an orderly way."""
    CONNECTION_LOST = "connection lost"
    """The network or the peer's system ended the connection: a reset or a time-out."""
    MESSAGE_TOO_LONG = "message too long"
    """A publisher sent or announced a message over the limit."""
    FRAME_TIMEOUT = "frame timeout"
    """A publisher began a message and did not complete it in time."""
    OVERRUN = "overrun"
    """The log no longer has what a subscriber or its feed needs next (`--slow disconnect`), or no feed can serve it."""
    STALLED = "stalled"
    """A subscriber took nothing for the stall timeout while something waited for it."""
    CONNECTION_LIMIT = "connection limit"
    """Closed when it was accepted: there were as many connections as are allowed in all."""
    ADDRESS_LIMIT = "address limit"
    """Closed when it was accepted: there were as many connections from its address as are allowed."""
    ADDRESS_NOT_ALLOWED = "address not allowed"
    """Closed when it was accepted: its role may not connect from its address."""
    BAD_PROXY_HEADER = "bad PROXY header"
    """It came to an endpoint for proxies, without a PROXY header or with one that was not understood."""
    HANDSHAKE_FAILED = "TLS handshake failed"
    """The peer does not speak TLS, has no certificate that we accept, does not accept ours, or left meanwhile."""
    HANDSHAKE_TIMEOUT = "TLS handshake timeout"
    """The peer did not complete the TLS handshake in time."""
    SHUTDOWN = "shutdown"
    """The relay stopped."""
    SESSION_ERROR = "session error"
    """A peer's hello cannot be understood, or asks for what cannot be had. The peer was told in words."""
    REPLACED = "replaced"
    """A newer publisher has the same name."""
    PROTOCOL_ERROR = "WebSocket protocol error"
    """A WebSocket subscriber sent something that the protocol forbids."""
    ERROR = "error"
    """A fault of ours; the log has the traceback."""
