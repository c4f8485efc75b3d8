"""What Twisted loads for `twistd relay`. Signals are held first, because loading the rest takes a moment."""

from __future__ import annotations

from relay.daemon.signals import hold

hold()

from relay.daemon.service import Options, makeService  # noqa: E402  # after the signals are held

__all__ = ["Options", "makeService"]
