"""Makes what only some relays have, without importing what it needs before that."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from relay.config.config import Config, Faults
from relay.net.ports import CannotStart
from relay.peers.intake import Intake

if TYPE_CHECKING:
    from relay.daemon.backbone import Sharing
    from relay.daemon.journal import Recording

PACKAGES = "nats-py nkeys"
"""What the backbone needs, as the package index calls it: the extra `backbone` in setup.cfg."""


def require_nats() -> None:
    """Raise Faults if the package that the backbone needs is not installed."""
    try:
        import nats  # noqa: F401
    except ModuleNotFoundError as error:
        raise Faults([f"--backbone needs {error.name}: {sys.executable} -m pip install {PACKAGES}"]) from None


def load_journal(config: Config, intake: Intake, reactor: Any) -> Recording | None:  # Any: as in Surroundings
    """The journal that `config` asks for; None if it asks for none. Raises CannotStart."""
    if not config.journal:
        return None
    from relay.daemon.journal import Recording

    return Recording(config, intake, reactor)


def load_backbone(config: Config, intake: Intake, reactor: Any) -> Sharing | None:  # Any: as in Surroundings
    """This relay's part in the backbone that `config` asks for; None if it asks for none. Raises CannotStart."""
    if not config.backbone:
        return None
    try:
        require_nats()
    except Faults as faults:
        raise CannotStart(f"relay cannot start: {faults}") from None
    from relay.daemon.backbone import Sharing

    return Sharing(config, intake, reactor)
