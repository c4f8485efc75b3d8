"""Reloading: the configuration as it is now, put in force as far as that needs no restart.

It happens in two phases. First everything is read, checked and prepared, certificates and tokens included, for all
parts of the relay. Only when nothing of that failed is anything changed; so what fails changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.logger import Logger

from relay.config.config import Config, Faults, check
from relay.config.setting import Part, Setting
from relay.config.settings import SETTINGS

Change = Callable[[], None]
"""Puts in force what was prepared. It does not fail."""
Applier = Callable[[Config], Change]
"""Prepares a part of the relay for a configuration: does all that may fail, changes nothing, and raises Faults."""

RESTARTS_WITH = {"publisher-ca": "publish-tls", "subscriber-ca": "subscribe-tls"}
"""Settings that wait for a restart if another has changed, which has to wait: the TLS ports that stay open until then
still ask for the certificates that they were made to ask for."""


class Reload:
    """The configuration that is in force, and what happens at SIGHUP."""

    logger = Logger()

    def __init__(
        self,
        config: Config,
        *,
        read: Callable[[], Config],
        appliers: Mapping[Part, Applier],
        certificate: Callable[[], str],
    ) -> None:
        """`config` is in force as soon as `apply` was called with it.

        `read` gives the configuration as it is now, and raises Faults if it cannot be used. `appliers` has one for
        every part, and their changes are made in its order; ValueError if one is missing. `certificate` names the
        certificate in force, for the log.
        """
        missing = [part.name for part in Part if part not in appliers]
        if missing:
            raise ValueError(f"nothing applies the settings of {', '.join(missing)}")
        self.config = config
        """What is in force."""
        self.done: Counter[bool] = Counter()
        """How often it was tried, by success."""
        self._read = read
        self._appliers = appliers
        self._certificate = certificate

    def apply(self, config: Config) -> None:
        """Put a configuration in force, whose settings that need a restart are those already in force.

        Raises Faults before anything is changed.
        """
        changes = [prepare(config) for prepare in self._appliers.values()]
        for change in changes:
            change()
        self.config = config

    def __call__(self) -> None:
        """Read the configuration again and put it in force; says in the log what became of it."""
        try:
            new = self._read()
            now, later = self._changed(new)
            fields: dict[str, Any] = {setting.field: _value(new, setting) for setting in now}
            self.apply(check(replace(self.config, **fields)))
        except Faults as faults:
            self.done[False] += 1
            self.logger.warn("reload failed, everything stays as it was: {faults}", faults=str(faults))
            return
        self.done[True] += 1
        certificate = self._certificate()
        self.logger.info(
            "reloaded; changed: {changed}{certificate}{restart}",
            changed=", ".join(f"{setting.name} {_show(_value(new, setting))}" for setting in now) or "nothing",
            certificate=f"; certificate {certificate}" if certificate else "",
            restart=f"; only after a restart: {', '.join(setting.name for setting in later)}" if later else "",
        )

    def _changed(self, new: Config) -> tuple[list[Setting], list[Setting]]:
        """The settings that differ from those in force: what can change now, and what waits for a restart."""
        changed = [setting for setting in SETTINGS if _value(new, setting) != _value(self.config, setting)]
        names = {setting.name for setting in changed}
        now = [one for one in changed if one.reload is not None and RESTARTS_WITH.get(one.name) not in names]
        return now, [one for one in changed if one not in now]


def _value(config: Config, setting: Setting) -> Any:  # Any: each has a type of its own
    return getattr(config, setting.field)


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return "auto" if value is None else str(getattr(value, "name", value)).lower() or "none"
