"""When to try again after a connection failed, and when to give up."""

from __future__ import annotations

from relay.client.backoff import Backoff
from relay.client.errors import ClientError, ConnectionFault, GaveUp


class Retry:
    """Decides what follows a failure. Each client needs one of its own."""

    def __init__(
        self, attempts: int | None = None, give_up_after: float | None = None, backoff: Backoff | None = None
    ) -> None:
        """`attempts`: failures in a row after which to give up. `give_up_after`: seconds without a connection.

        None for either: try for ever. `backoff`: the waits in between; None for the usual ones.
        """
        self._backoff = backoff or Backoff()
        self._attempts = attempts
        self._give_up_after = give_up_after
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        """Note that there is a connection that works."""
        self._backoff.succeeded()
        self._failing_since = None

    def failed(self, error: Exception, now: float) -> float:
        """Note that a connection ended, or could not be made, for `error`. Returns the seconds until the next try.

        `now`: seconds of a clock that never goes back. Raises `error` if no try can help, and GaveUp after the last.
        """
        if isinstance(error, ClientError):
            raise error
        if self._failing_since is None:
            self._failing_since = now
        wait = self._backoff.failed(error.retry if isinstance(error, ConnectionFault) else None)
        late = self._give_up_after is not None and now + wait - self._failing_since > self._give_up_after
        if late or self._backoff.tries == self._attempts:
            raise GaveUp(f"gave up after {self._backoff.tries} tries; the last failed: {error}") from error
        return wait
