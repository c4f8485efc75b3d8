"""One thing that can be set, and how the texts that were given for it become its value."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from relay.config.values import network


class Part(Enum):
    """What is told of a change of settings while the relay runs.

    Whoever reloads has something for each part that applies its settings, or does not come into being: so a setting
    that can be reloaded is one that something applies.
    """

    HUB = auto()
    """Hands messages out, and deals with subscribers that are slow."""
    LIMITS = auto()
    """Counts connections, and has descriptors for them."""
    NETWORKS = auto()
    """Admits each role from certain addresses only."""
    PUBLISHERS = auto()
    """Reads messages, of which none may stay incomplete."""
    DRAIN = auto()
    """Ends connections when the relay stops."""
    CREDENTIALS = auto()
    """Certificates, as they are in their files now."""
    HANDSHAKES = auto()
    """TLS connections that are being made."""
    WEB = auto()
    """Decides what the web port shows to whom."""
    LOG = auto()
    """Leaves out what is less important."""


class Given(NamedTuple):
    """What was given for a setting."""

    where: str
    """The place, for messages: an option, or a file and a name in it."""
    texts: list[str]


@dataclass(frozen=True)
class Setting:
    """One thing that can be set."""

    name: str
    """On the command line after two hyphens, and in the configuration file."""
    default: str
    convert: Callable[[str], Any]  # Any: each has a type of its own
    """Raises ValueError for a text that it does not understand."""
    help: str
    many: bool = False
    """May have several values, given one by one, or networks with commas between; `none` is none."""
    table: str = ""
    """Where it stands in the configuration file; empty: at its top."""
    reload: Part | None = None
    """What applies a change while the relay runs; None: a change waits for a restart."""
    shown: bool = False
    """Whether the status page shows it: how the relay treats those who connect. All else is the operator's business."""

    @property
    def field(self) -> str:
        """Its name in `Config`."""
        return self.name.replace("-", "_")

    def value(self, texts: Iterable[str]) -> Any:
        """The value, from all texts that were given; of a setting that has one value, the last text counts.

        Raises ValueError.
        """
        if not self.many:
            *_, text = texts
            return self.convert(text)
        parts = [part.strip() for text in texts for part in (text.split(",") if self.convert is network else [text])]
        return tuple(self.convert(part) for part in parts if part not in ("", "none"))
