"""Start, run and stop: options, assembly, service, timers, signals, reload, the service manager, the log.

Imports everything; only Twisted's plugin imports it. `assembly` is the one place that knows every class. The packages
below never look for the reactor, the environment or signals themselves: they are handed down from here.
"""
