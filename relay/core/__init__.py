"""Messages in memory: the log, the subscribers' places in it, the hub that hands out, and the slow policies.

Imports `relay.wire`, and no Twisted: the reactor arrives as functions (`call_soon`, `clock`). It promises those above
that every attached subscriber is given every message, whole and in order, or is told that it lost some; and that what
is kept stays within the memory that it was given.
"""
