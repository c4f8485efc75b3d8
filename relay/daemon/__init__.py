"""Start, run and stop: options, assembly, service, timers, signals, reload, the service manager, the log.

Imports everything; nothing imports it but Twisted's plugin. `assembly` is the one place that knows every class. Nothing
below looks for the reactor, the environment or signals by itself: all that is handed down from here.
"""
