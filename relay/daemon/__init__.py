"""Start, run and stop: the command line, the one place that puts everything together, timers, reload, systemd, the log.

Imports everything; nothing imports it but Twisted's plugin.
"""
