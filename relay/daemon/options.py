"""The options of `twistd relay`: one for each setting. They win over the configuration file.

Everything is checked before the relay starts: a bad option ends the program with one line that names it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import NoReturn

from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

import twisted
from relay import __version__
from relay.config.config import Config, Faults, configure
from relay.config.file import read_file
from relay.config.setting import Given, Setting
from relay.config.settings import SETTINGS
from relay.daemon.load import require_nats
from relay.daemon.logs import output
from relay.daemon.pid_file import take_over
from relay.daemon.usage import usage
from relay.net.certificates import load_credentials
from relay.net.obstacles import obstacles
from relay.web.load import require_packages
from relay.web.token import read_token

ABOUT = (
    "A broadcast daemon: every message that a publisher sends is delivered, whole and in order, to every subscriber. "
    "A SIZE is in bytes, or with KiB, MiB or GiB, as in 64MiB."
)
"""What `--help` says first."""


class Options(UsageOptions):
    """Options of `twistd relay`."""

    synopsis = "[options]"
    optFlags = [["check", None, "validate options and configuration file, say ok or what is wrong, and exit"]]  # noqa: RUF012  # Twisted's own

    def __init__(self) -> None:
        super().__init__()
        self._file = ""
        self._given: dict[str, Given] = {}

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read the options. If they are wrong, say so in one line on standard error, and exit with status 1.

        Without a program that they are options of (`parent`), raises UsageError instead. Twisted would print all that
        `--help` says on standard output, and the fault behind it.
        """
        try:
            super().parseOptions(options)
        except UsageError as error:
            if self.parent is None:
                raise
            print(f"relay: {error}{self._way_out(str(error))}", file=sys.stderr)
            sys.exit(1)

    def _way_out(self, fault: str) -> str:
        """What helps somebody who made that mistake, as the end of a sentence; empty if the words say it already."""
        from difflib import get_close_matches

        unknown = re.fullmatch(r"option --(\S+) not recognized", fault)
        close = get_close_matches(unknown[1], [name.rstrip("=") for name in self.longOpt], n=1) if unknown else []
        if close:
            return f": did you mean --{close[0]}?"
        return " (--help lists the options)" if fault.startswith(("option ", "unexpected argument ")) else ""

    def getUsage(self, width: int | None = None) -> str:
        """What `--help` says below its first line. `width`: columns; None: those of the terminal."""
        about = wrap(ABOUT, width := width or get_terminal_size().columns)
        return "\n" + "\n".join(about) + "\n" + usage(self.longOpt, self.docs, width)

    def opt_config(self, file: str) -> None:
        """FILE with settings (TOML), named like these options; options on the command line win"""
        if not file:
            raise UsageError("--config: give the name of a file")
        self._file = os.path.abspath(file)  # twistd may change to another folder before the file is read again

    def opt_h(self) -> None:
        """The same as --help"""
        self.opt_help()

    def opt_version(self) -> None:
        """Show the versions of the relay and of Twisted, and exit."""
        print(f"relay {__version__}, Twisted {twisted.__version__}")
        sys.exit(0)

    def parseArgs(self, *surplus: str) -> None:
        if surplus:
            raise UsageError(f"unexpected argument {surplus[0]!r}")

    def postOptions(self) -> None:
        """Check the configuration, and have twistd write the log in the format that it asks for."""
        if self["check"]:
            self._check_and_exit()
        try:
            config = self.config()
        except Faults as faults:
            raise UsageError(str(faults)) from None
        if self.parent is not None:
            self._look_after(self.parent, config.log_format)

    def _look_after(self, twistd: UsageOptions, log_format: str) -> None:
        """Have twistd write our log, and check the files that it will write: it would fail with a traceback.

        `twistd`: its options. A relative PID file is in the folder that it changes to; a log is opened before that.
        """
        if twistd.get("pidfile") and not twistd.get("chroot"):
            file = os.path.join(twistd.get("rundir", "."), twistd["pidfile"])
            take_over(file)
            _require_writable("pidfile", file)
        if twistd.get("logger") or twistd.get("syslog"):
            return
        output.format = log_format
        output.file, output.nodaemon = twistd.get("logfile"), bool(twistd.get("nodaemon"))
        twistd["logger"] = f"{output.__module__}.output"
        if output.path not in ("", "-"):
            _require_writable("logfile", output.path)

    def _check_and_exit(self) -> NoReturn:
        """Check the configuration, the files that it names, and whether this machine can do what it asks, and exit.

        Prints `ok` and exits with status 0, or prints one line for each fault and exits with status 1.
        """
        try:
            config = self.config()
            lines = [line for look in LOOKS for line in _faults(look, config)] + obstacles(config)
        except Faults as faults:
            lines = faults.lines
        if lines:
            print(*lines, sep="\n", file=sys.stderr)
            sys.exit(1)
        print("ok")
        sys.exit(0)

    @property
    def daemon_folder(self) -> str:
        """The folder in which twistd will be a daemon; empty if it stays in the foreground, or in another root."""
        twistd = self.parent
        if twistd is None or twistd.get("nodaemon") or twistd.get("chroot"):
            return ""
        return str(twistd.get("rundir", "."))

    def config(self) -> Config:
        """Read the configuration file anew and combine it with the command line. Raises Faults."""
        given, faults = read_file(self._file) if self._file else ({}, [])
        return configure(given | self._given, faults)


def _faults(look: Callable[[Config], object], config: Config) -> Sequence[str]:
    try:
        look(config)
    except Faults as faults:
        return faults.lines
    return ()


def _check_web(config: Config) -> None:
    """Raise Faults if what the web port needs is not there."""
    read_token(config.web_token_file)
    if config.web:
        require_packages()


def _check_journal(config: Config) -> None:
    """Raise Faults if the folder of the journal cannot be written, has not enough room, or another kind of journal."""
    folder = os.path.abspath(config.journal)
    if not config.journal:
        return
    if not os.path.isdir(folder):
        raise Faults([f"journal: {folder}: there is no such folder"])
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Faults([f"journal: {folder}: it cannot be written"])
    from relay.daemon.journal import look_over

    look_over(config)


def _check_reach(config: Config) -> None:
    """Raise Faults if the files for TLS connections to others cannot be used."""
    if config.pull or config.push or config.mirror:
        from relay.net.outgoing import load_client_credentials

        load_client_credentials(config)


def _check_backbone(config: Config) -> None:
    """Raise Faults if what the backbone needs is not there. NATS is not asked."""
    if not config.backbone:
        return
    require_nats()
    from relay.backbone.access import BadCredentials
    from relay.daemon.backbone import access

    try:
        access(config).options()
    except BadCredentials as error:
        raise Faults([f"backbone: {error}"]) from None
    except OSError as error:
        raise Faults([f"backbone: {error.filename or config.backbone_ca}: {error.strerror}"]) from None


LOOKS = (load_credentials, _check_reach, _check_web, _check_journal, _check_backbone)
"""Where `--check` looks besides the configuration. Each raises Faults."""


def _require_writable(option: str, file: str) -> None:
    """Raise UsageError if `file`, which was given with that option of twistd, cannot be written. Leaves none behind."""
    new = not os.path.lexists(file)
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o600))
    except OSError as error:
        raise UsageError(f"--{option}: {os.path.abspath(file)}: {error.strerror}") from None
    if new:
        os.unlink(file)


def _taking(setting: Setting) -> Callable[[Options, str], None]:
    """The method that Twisted calls with each text given for a setting; its docstring is the help text."""

    def take(self: Options, text: str) -> None:
        self._given.setdefault(setting.name, Given(f"--{setting.name}", [])).texts.append(text)

    default = f" [default: {setting.default}]" if setting.default else ""
    take.__doc__ = setting.help + default
    return take


for _setting in SETTINGS:
    setattr(Options, f"opt_{_setting.field}", _taking(_setting))
