"""Why a client gives up: one exception for each cause, with the way out in words. What may pass is tried again."""

from __future__ import annotations


class ClientError(Exception):
    """The client has given up, and does not come back by itself."""


class NoSessions(ClientError):  # noqa: N818  # named for what is the matter
    """The server never answered our hello."""

    def __init__(self) -> None:
        super().__init__(
            "the server does not answer a hello: it is a relay older than sessions, or no relay, or only one of the "
            "two sides speaks TLS, or it is full and closes every connection; session=False needs no answer"
        )


class NotARelay(ClientError):  # noqa: N818
    """The server sends something else than length-prefixed messages."""


class WrongPort(ClientError):  # noqa: N818
    """A publisher connected to the port of subscribers, or the reverse."""


class Refused(ClientError):  # noqa: N818
    """The relay refused, in its own words."""


class TLSFailed(ClientError):  # noqa: N818
    """There can be no TLS connection with these certificates and this server."""

    @classmethod
    def because(cls, reason: str) -> TLSFailed:
        """For a `reason` in the words of the TLS library."""
        return cls(f"no TLS connection: {reason}: check the port, and the certificates of both sides")


class Replaced(ClientError):  # noqa: N818
    """A newer connection publishes under the same name."""


class GaveUp(ClientError):  # noqa: N818
    """All attempts that the caller's `Retry` allows have failed."""


class Closed(ClientError):  # noqa: N818
    """The client was closed by its own program."""


class ConnectionFault(Exception):  # noqa: N818
    """This connection is of no more use, and another may be."""

    def __init__(self, reason: str, retry: float | None = None) -> None:
        """`reason`: for people. `retry`: seconds after which the relay wants us back; None if it is up to us."""
        super().__init__(reason)
        self.retry = retry
