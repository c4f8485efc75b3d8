"""One setting, and how the texts given for it become its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from relay.config.values import network


class Part(Enum):
    """A part of the relay to which changed settings can be applied while it runs.

    A relay cannot be made without an applier for each part. So every setting that can be reloaded is applied.
    """

    HUB = auto()
    """Delivers messages, and deals with slow subscribers."""
    LIMITS = auto()
    """Limits the number of connections, and raises the limit of open files for them."""
    NETWORKS = auto()
    """Limits the addresses from which each role may connect."""
    PUBLISHERS = auto()
    """Limits the time that a message may take, decides about what is too long, and limits the names that are kept."""
    DRAIN = auto()
    """Ends connections when the relay stops."""
    CREDENTIALS = auto()
    """Certificates and authorities for TLS; a reload reads their files again."""
    HANDSHAKES = auto()
    """Limits the time of TLS handshakes."""
    JOURNAL = auto()
    """Keeps messages on disk."""
    REACH = auto()
    """Connects to other relays and servers; a reload reads the files for TLS there again."""
    WEB = auto()
    """Decides who may see what of the web port."""
    LOG = auto()
    """Leaves out events that are not important enough."""


class Given(NamedTuple):
    """What was given for a setting."""

    where: str
    """Where it was given, for error messages: an option, or a file and a name in it."""
    texts: list[str]
    """One text for each time that it was given."""


@dataclass(frozen=True)
class Setting:
    """One thing that can be set."""

    name: str
    """Its name in the configuration file, and after two hyphens on the command line."""
    default: str
    """As it would be given on the command line."""
    convert: Callable[[str], Any]  # Any: each setting has a type of its own
    """Parses one text. Raises ValueError for a text that it does not understand."""
    help: str
    """The text of `--help`."""
    many: bool = False
    """Whether it may have several values. They are given one by one, networks also with commas; `none` gives none."""
    table: str = ""
    """Its table in the configuration file; empty: the top of the file."""
    reload: Part | None = None
    """The part to which a reload applies a change; None: a change waits for a restart."""
    shown: bool = False
    """Whether the status page shows it: those who connect are affected by it. The rest is for the operator only."""

    @property
    def field(self) -> str:
        """Its attribute in `Config`."""
        return self.name.replace("-", "_")

    def value(self, texts: Iterable[str]) -> Any:
        """The value that `texts` give: a tuple if there may be many, otherwise the value of the last text.

        Raises ValueError if one of them cannot be parsed.
        """
        if not self.many:
            *_, text = texts
            return self.convert(text)
        parts = [part.strip() for text in texts for part in (text.split(",") if self.convert is network else [text])]
        return tuple(self.convert(part) for part in parts if part not in ("", "none"))
