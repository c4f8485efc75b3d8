"""Messages in memory: the log, the subscribers' places in it, the hub that delivers, and the slow policies.

Imports `relay.wire` and no Twisted: the reactor arrives as functions (`call_soon`, `clock`). It promises the packages
above that every attached subscriber gets every message, whole and in order, or is told that it lost some; and that the
messages kept stay within the memory they were given.
"""
