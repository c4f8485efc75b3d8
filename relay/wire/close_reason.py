"""Why a connection ended: the one closed list, the same words in the log, in counters and wherever else it is told."""

from __future__ import annotations

from enum import StrEnum


class CloseReason(StrEnum):
    """Every connection that ends has exactly one of these."""

    PEER_CLOSED = "peer closed"
    """The peer ended the connection in an orderly way."""
    CONNECTION_LOST = "connection lost"
    """The network or the peer's system ended it: a reset, a time-out."""
    MESSAGE_TOO_LONG = "message too long"
    """A publisher sent, or announced, a message over the limit."""
    FRAME_TIMEOUT = "frame timeout"
    """A publisher began a message and did not complete it in time."""
    OVERRUN = "overrun"
    """A subscriber fell further behind than the log reaches, and the slow policy is to disconnect."""
    STALLED = "stalled"
    """A subscriber took nothing for the stall timeout while something waited for it."""
    CONNECTION_LIMIT = "connection limit"
    """There were as many connections as there may be: closed when it was accepted."""
    ADDRESS_LIMIT = "address limit"
    """There were as many connections from its address as there may be: closed when it was accepted."""
    ADDRESS_NOT_ALLOWED = "address not allowed"
    """Its role does not connect from its address: closed when it was accepted."""
    BAD_PROXY_HEADER = "bad PROXY header"
    """It came through an endpoint for a proxy, and did not say from where, or not so that it was understood."""
    HANDSHAKE_FAILED = "TLS handshake failed"
    """It does not speak TLS, or has no certificate that we accept, or does not accept ours."""
    HANDSHAKE_TIMEOUT = "TLS handshake timeout"
    """It did not complete the TLS handshake in time."""
    SHUTDOWN = "shutdown"
    """The relay stopped."""
    PROTOCOL_ERROR = "WebSocket protocol error"
    """A subscriber by WebSocket sent what none may send."""
    ERROR = "error"
    """A fault of ours; the log has the traceback."""
