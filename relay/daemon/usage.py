"""The text of `--help`: the options in the order and in the groups of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap

from relay.config.settings import SETTINGS

HEADINGS = {
    "": "Messages and endpoints",
    "limits": "Limits",
    "journal": "The journal",
    "backbone": "The backbone",
    "tls": "TLS",
    "reach": "Other relays and servers",
    "web": "The web port",
    "log": "The log",
}
"""For each table of the configuration file what its options are about."""
OTHERS = "Others"
INDENT = 26
"""Columns before the explanations: two more than the longest option has."""
STICKY = "\N{NO-BREAK SPACE}"
NARROWEST = 60
"""Columns: in less, explanations would have a word or two on a line."""


def usage(options: Iterable[str], docs: Mapping[str, str], width: int) -> str:
    """The text, with no line longer than `width` columns or `NARROWEST`.

    `options`: the names, with `=` at the end of those that take a value. `docs`: the explanation of each name.
    """
    offered = {option.rstrip("="): option for option in options}
    text = ""
    for heading, names in _groups(offered):
        text += f"\n{heading}:\n"
        for name in names:
            words = " ".join(docs[name].split()).replace("[default: ", f"[default:{STICKY}")
            lines = wrap(words, max(width, NARROWEST) - INDENT)
            text += f"  --{offered[name]}".ljust(INDENT) + f"\n{' ' * INDENT}".join(lines) + "\n"
    return text.replace(STICKY, " ")


def _groups(names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Every heading with the options below it. Those that are no settings come last."""
    for table in dict.fromkeys(setting.table for setting in SETTINGS):
        yield HEADINGS[table], [setting.name for setting in SETTINGS if setting.table == table]
    settings = {setting.name for setting in SETTINGS}
    yield OTHERS, sorted(name for name in names if name not in settings)
