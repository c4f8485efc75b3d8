"""The configuration file: TOML, in which settings have the names of their options, some of them in tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relay.config.config import Faults
from relay.config.setting import Given, Setting
from relay.config.settings import SETTINGS
from relay.config.values import count, count_or_auto, seconds, seconds_or_always, size, workers

TYPES: dict[object, tuple[tuple[type, ...], str]] = {
    size: ((int, str), "a whole number or text"),
    count: ((int,), "a whole number"),
    count_or_auto: ((int, str), 'a whole number or "auto"'),
    workers: ((int, str), 'a whole number or "auto"'),
    seconds: ((int, float), "a number"),
    seconds_or_always: ((int, float, str), 'a number or "always"'),
}
"""For each `Setting.convert`: the types that a value may have in the file, and their name in an error message. The file
has a text for any other setting."""


def read_file(file: str) -> tuple[dict[str, Given], list[str]]:
    """Read a configuration file. Returns what it gives, by name of the setting, and what is wrong with the rest.

    Raises Faults if it cannot be read at all.
    """
    known = {(setting.table, setting.name): setting for setting in SETTINGS}
    found: dict[str, Given] = {}
    faults = []
    file = os.path.abspath(file)  # whoever reads the message may not know which folder was the current one
    for table, name, value in _entries(_parse(file)):
        where = f"{file}: {table}.{name}" if table else f"{file}: {name}"
        setting = known.get((table, name))
        if setting is None:
            faults.append(f"{where}: {_unknown(name)}")
            continue
        try:
            found[name] = Given(where, texts(setting, value))
        except ValueError as error:
            faults.append(f"{where}: {error}")
    return found, faults


def texts(setting: Setting, value: object) -> list[str]:
    """A value from the file, as the texts that would give it on the command line.

    Raises ValueError if its type is wrong.
    """
    types, expected = TYPES.get(setting.convert, ((str,), "text"))
    values = value if setting.many and isinstance(value, list) else [value]
    for one in values:
        if type(one) not in types:
            raise ValueError(f"{one!r} is not {expected}")
    return [str(one) for one in values] or ["none"]


def _parse(file: str) -> dict[str, Any]:  # Any: as tomllib declares it
    import tomllib  # a relay without a file need not load it

    try:
        content = Path(file).read_bytes()
        return tomllib.loads(content.decode("utf-8-sig"))  # editors of Windows put a mark at the beginning
    except OSError as error:
        raise Faults([f"{file}: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        found = "it seems to be UTF-16" if b"\0" in content else f"byte {error.start + 1:,} is none"
        raise Faults([f"{file}: a configuration file is UTF-8, and {found}: save it in that encoding"]) from None
    except tomllib.TOMLDecodeError as error:
        raise Faults([f"{file}: {error}"]) from None


def _entries(content: dict[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Every value of the file: the name of its table (empty at the top of the file), its own name, and the value."""
    tables = {setting.table for setting in SETTINGS} - {""}
    for name, value in content.items():
        if name in tables and isinstance(value, dict):
            yield from ((name, inner, what) for inner, what in value.items())
        else:
            yield "", name, value


def _unknown(name: str) -> str:
    """Why a setting called `name` is wrong where it was found."""
    tables = [setting.table for setting in SETTINGS if setting.name == name]
    if not tables:
        return "there is no such setting"
    return f"this belongs in the table [{tables[0]}]" if tables[0] else "this belongs at the top, before all tables"
