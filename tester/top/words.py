"""Short spellings of numbers and texts for people."""

from __future__ import annotations

from datetime import datetime

from tester.message import beginning

LONGEST = 200  # characters shown of any text that a peer chose
UNITS = ("kB", "MB", "GB", "TB", "PB")


def harmless(text: str) -> str:
    """The beginning of `text`, with Python escapes for backslashes and for all that does not print."""
    return beginning(text.encode("utf-8", "backslashreplace"), LONGEST)


def pace(per_second: float | None) -> str:
    """A rate: `12,345`, `1.5`; `-` if it is not known."""
    if per_second is None:
        return "-"
    return f"{per_second:,.0f}" if per_second >= 100 or per_second == 0 else f"{per_second:,.1f}"


def megabytes(per_second: float | None) -> str:
    """Bytes per second as millions: `12.34`; `-` if they are not known."""
    return "-" if per_second is None else f"{per_second / 1e6:,.2f}"


def size(octets: float) -> str:
    """An amount of bytes: `999 B`, `1.2 kB`, `3.4 GB`."""
    if octets < 1000:
        return f"{octets:.0f} B"
    for unit in UNITS:
        octets /= 1000
        if octets < 999.95 or unit == UNITS[-1]:
            break
    return f"{octets:,.1f} {unit}"


def span(seconds: float) -> str:
    """A long time: `04:05:06`, `3 d 04:05:06`."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return (f"{days:,} d " if days else "") + f"{hour:02}:{minute:02}:{second:02}"


def moment(when: datetime, now: datetime) -> str:
    """The time of day if `when` is today, otherwise month, day and time; both arguments are in the same time zone."""
    return f"{when:%H:%M:%S}" if when.date() == now.date() else f"{when:%m-%d %H:%M}"
