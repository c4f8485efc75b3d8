"""The journal: the log on disk, as segments in one folder.

Imports `relay.core` and `relay.wire`, and no Twisted: time, threads and the reactor arrive as functions. It promises
the packages above that a message which was appended is read back as it was, or not at all; that what was synced
survives a power cut; and that damage is told and never delivered.
"""
