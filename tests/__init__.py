"""Tests of the relay: a folder for each kind, and `kit` for what they share. `bash test.sh` runs them all.

Tests rely on none of what a shell, a login or a service manager may have set up for the process: it is set here, before
any test runs, for every program that the tests start.
"""

import os
import signal

for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # a shell ignores them in what runs in the background
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
os.umask(0o022)
os.environ["LC_ALL"], os.environ["COLUMNS"] = "C.UTF-8", "80"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost"
for name in tuple(os.environ):
    if name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM") or name.startswith("LISTEN_"):
        del os.environ[name]  # of the service that runs the tests
