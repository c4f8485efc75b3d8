"""The log as twistd writes it: text or JSON, without events below a level of importance.

In JSON, each event is one line with an object: `time` (UTC, RFC 3339), `level`, `source` (the part of the program),
`message` (what the text would be), `event` (the message's format, with names instead of values: it is constant),
`traceback` where something failed, and the event's own fields under their names. `event` is left out where it would
equal `message`, and for events of Twisted's older logging system, which have no format of their own.
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
"""Types of fields that JSON can represent; fields of other types are left out."""
LEGACY = ("isError", "printed", "time", "system", "message", "format")
"""Fields that Twisted adds to events for its older logging system."""
LEGACY_FORMAT = "{log_text}"
"""The format that Twisted gives to all events of its older logging system."""


def as_json(event: LogEvent) -> str | None:
    """An event as one line of JSON; None if it has neither a message nor a failure."""
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
    if isinstance(form := event.get("log_format"), str) and form not in (message, LEGACY_FORMAT):
        fields["event"] = form
    if failure is not None:
        fields["traceback"] = eventAsText(event, includeTimestamp=False, includeSystem=False).partition("\n")[2]
    taken = (*LEGACY, "time", "level", "source", "message", "event", "traceback")
    own = {name: value for name, value in event.items() if isinstance(value, PLAIN)}
    fields |= {name: value for name, value in own.items() if not name.startswith("log_") and name not in taken}
    return json.dumps(fields, ensure_ascii=False) + "\n"


class Output:
    """Where the log of this process goes, and in which format.

    twistd's option --logger names a function that makes an observer of the log: an `Output` is such a function.
    """

    def __init__(self) -> None:
        self.levels = LogLevelFilterPredicate()
        """Decides which events are important enough to be written; may be changed at any time."""
        self.format = "text"
        """`text` or `json`."""
        self.file: str | None = None
        """What twistd's option --logfile says."""
        self.nodaemon = True
        """Whether twistd stays in the foreground, as its option --nodaemon says."""

    def __call__(self) -> ILogObserver:
        out = self._open()
        written = textFileLogObserver(out) if self.format == "text" else FileLogObserver(out, as_json)
        return FilteringLogObserver(written, [self.levels])

    @property
    def path(self) -> str:
        """The log file; empty for standard output, and `-` for that of a daemon, which has none."""
        return "" if self.nodaemon and self.file in (None, "", "-") else self.file or "twistd.log"

    def _open(self) -> TextIO:
        """Open what twistd itself would write to: standard output, or a file that rotates when full and at SIGUSR1."""
        if not self.path:
            return sys.stdout
        if self.path == "-":
            sys.exit("a daemon cannot log to standard output: give twistd -n, or a file for --logfile")
        rotated = LogFile.fromFullPath(self.path)

        def rotate(number: int, frame: object) -> None:
            from twisted.internet import reactor

            cast(Any, reactor).callFromThread(rotated.rotate)  # Any: no interface has it under this name

        signal.signal(signal.SIGUSR1, rotate)
        return cast(TextIO, rotated)


output = Output()
"""The one log of the process. twistd finds it by this name, and calls it to get the observer."""
