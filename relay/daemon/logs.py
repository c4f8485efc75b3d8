"""How the log is written: as text or as JSON, from what importance on, to where twistd was told to.

An event is one line. As JSON it is an object: `time` (UTC, RFC 3339), `level`, `source` (the part of the program),
`message` (what the text would be), `event` (the same with names instead of values, so that it never changes),
`traceback` where something failed, and the event's own fields under their names.
"""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from typing import Any, TextIO, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
    textFileLogObserver,
)
from twisted.python.logfile import LogFile

PLAIN = (str, int, float, bool, type(None))
"""What JSON has, too."""


def as_json(event: LogEvent) -> str | None:
    """An event as one line, or None if it says nothing."""
    message = formatEvent(event)
    failure = event.get("log_failure")
    if not message and failure is None:
        return None
    level = event.get("log_level")
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(timespec="milliseconds"),
        "level": level.name if level is not None else "info",
        "source": event.get("log_system") or event.get("log_namespace", ""),
        "message": message,
    }
    if isinstance(form := event.get("log_format"), str) and form != message:
        fields["event"] = form
    if failure is not None:
        fields["traceback"] = eventAsText(event, includeTimestamp=False, includeSystem=False).partition("\n")[2]
    own = {name: value for name, value in event.items() if isinstance(value, PLAIN)}
    legacy = ("isError", "printed", "time", "system", "message", "format", "level", "source", "event")
    fields |= {name: value for name, value in own.items() if not name.startswith("log_") and name not in legacy}
    return json.dumps(fields, ensure_ascii=False) + "\n"


class Output:
    """Where the log of this process goes. Called without arguments, it makes what twistd's option --logger wants."""

    def __init__(self) -> None:
        self.levels = LogLevelFilterPredicate()
        """The least important events that are written; may be changed at any time."""
        self.form = "text"
        """Or json."""
        self.file: str | None = None
        """Twisted's --logfile."""
        self.nodaemon = True

    def __call__(self) -> ILogObserver:
        out = self._open()
        written = textFileLogObserver(out) if self.form == "text" else FileLogObserver(out, as_json)
        return FilteringLogObserver(written, [self.levels])

    def _open(self) -> TextIO:
        """Where twistd itself would write to: standard output, or a file that it rotates."""
        if self.nodaemon and self.file in (None, "", "-"):
            return sys.stdout
        if self.file == "-":
            sys.exit("a daemon cannot log to standard output: give twistd -n, or a file for --logfile")
        rotated = LogFile.fromFullPath(self.file or "twistd.log")

        def rotate(number: int, frame: object) -> None:
            from twisted.internet import reactor

            cast(Any, reactor).callFromThread(rotated.rotate)  # Any: no interface has it under this name

        signal.signal(signal.SIGUSR1, rotate)
        return cast(TextIO, rotated)


output = Output()
"""The one log of the process, as Twisted has one: twistd finds it by its name, and makes the observer from it."""
