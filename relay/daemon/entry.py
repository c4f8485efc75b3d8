"""What Twisted loads for `twistd relay`: signals are held before anything else is loaded, which takes a moment."""

from __future__ import annotations

from relay.daemon.signals import hold

hold()

from relay.daemon.service import Options, makeService  # noqa: E402  # after the signals are held

__all__ = ["Options", "makeService"]
