"""Reloading: reads the configuration again, and puts in force what needs no restart.

There are two phases. First everything is read, checked and prepared for all parts of the relay, certificates and tokens
included. Only if all of that succeeds is anything changed, so a reload that fails changes nothing.
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
"""Puts in force what an `Applier` prepared. It does not fail."""
Applier = Callable[[Config], Change]
"""Prepares a part of the relay for a configuration: does all that may fail, and changes nothing. Raises Faults."""

RESTARTS_WITH = {"publisher-ca": "publish-tls", "subscriber-ca": "subscribe-tls"}
"""Settings that wait for a restart if another setting, which always waits for one, has changed as well. Until that
restart the old TLS ports stay open, and keep asking for the certificates that they ask for now."""


class Reload:
    """Holds the configuration in force; calling it reloads the configuration, as SIGHUP asks."""

    logger = Logger()

    def __init__(
        self,
        config: Config,
        *,
        read: Callable[[], Config],
        appliers: Mapping[Part, Applier],
        certificate: Callable[[], str],
    ) -> None:
        """Does not apply `config` yet: call `apply` with it.

        `read`: reads the configuration anew, and raises Faults if it cannot be used. `appliers`: one for every part;
        their changes are made in its order. `certificate`: the name of the certificate in force, for the log, empty if
        there is none.

        Raises ValueError if a part has no applier.
        """
        missing = [part.name for part in Part if part not in appliers]
        if missing:
            raise ValueError(f"nothing applies the settings of {', '.join(missing)}")
        self.config = config
        """The configuration in force."""
        self.done: Counter[bool] = Counter()
        """How many reloads succeeded (True) and failed (False)."""
        self._read = read
        self._appliers = appliers
        self._certificate = certificate

    def apply(self, config: Config) -> None:
        """Put `config` in force. It must not differ from the one in force in a setting that needs a restart.

        Raises Faults, before anything is changed.
        """
        changes = [prepare(config) for prepare in self._appliers.values()]
        for change in changes:
            change()
        self.config = config

    def __call__(self) -> bool:
        """Read the configuration again and put it in force. Returns whether that succeeded; the log tells more."""
        try:
            new = self._read()
            now, later = self._changed(new)
            fields: dict[str, Any] = {setting.field: _value(new, setting) for setting in now}
            self.apply(check(replace(self.config, **fields)))
        except Faults as faults:
            self.done[False] += 1
            self.logger.warn("reload failed, everything stays as it was: {faults}", faults=str(faults))
            return False
        self.done[True] += 1
        certificate = self._certificate()
        self.logger.info(
            "reloaded; changed: {changed}{certificate}{restart}",
            changed=", ".join(f"{setting.name} {_show(_value(new, setting))}" for setting in now) or "nothing",
            certificate=f"; certificate {certificate}" if certificate else "",
            restart=f"; only after a restart: {', '.join(setting.name for setting in later)}" if later else "",
        )
        return True

    def _changed(self, new: Config) -> tuple[list[Setting], list[Setting]]:
        """The settings in which `new` differs: those that can change now, and those that wait for a restart."""
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
