"""Reloading: the configuration as it is now, put in force as far as that needs no restart.

It is read and checked as a whole before anything is touched: one that does not validate changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from relay.config.config import Config, Faults, check
from relay.config.setting import Setting
from relay.config.settings import SETTINGS
from relay.net.credentials import Credentials, load_credentials

NOT_WITHOUT = {"publisher-ca": "publish-tls", "subscriber-ca": "subscribe-tls"}
"""Settings that wait for a restart if another changes, which has to: a door that stays until then still asks for the
certificates that it was made to ask for."""


class Reload:
    """What happens at SIGHUP."""

    log = Logger()

    def __init__(
        self, config: Config, read: Callable[[], Config], apply: Callable[[Config, Credentials], None]
    ) -> None:
        """`read` gives the configuration as it is now, and `apply` puts one in force; both may raise Faults.

        `apply` looks at the settings that can be reloaded, and the credentials, and touches nothing if it raises.
        """
        self.done: Counter[bool] = Counter()
        """How often it was tried, by success."""
        self._config = config
        self._read = read
        self._apply = apply

    def __call__(self) -> None:
        """Try it; says in the log what became of it."""
        try:
            new = self._read()
            changed = [setting for setting in SETTINGS if _value(new, setting) != _value(self._config, setting)]
            names = {setting.name for setting in changed}
            now = [one for one in changed if one.reload and NOT_WITHOUT.get(one.name) not in names]
            later = [one for one in changed if one not in now]
            fields: dict[str, Any] = {one.field: _value(new, one) for one in now}
            config = check(replace(self._config, **fields))
            credentials = load_credentials(config)
            self._apply(config, credentials)
        except Faults as faults:
            self.done[False] += 1
            self.log.warn("reload failed, everything stays as it was: {faults}", faults=str(faults))
            return
        self.done[True] += 1
        self._config = config
        self.log.info(
            "reloaded; changed: {changed}{certificate}{restart}",
            changed=", ".join(f"{one.name} {_show(_value(new, one))}" for one in now) or "nothing",
            certificate=f"; certificate {credentials.name}" if credentials.name else "",
            restart=f"; only after a restart: {', '.join(one.name for one in later)}" if later else "",
        )


def _value(config: Config, setting: Setting) -> Any:  # Any: each has a type of its own
    return getattr(config, setting.field)


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "auto" if value is None else str(getattr(value, "name", value)).lower() or "none"
