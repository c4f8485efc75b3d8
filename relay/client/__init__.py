"""The client library: publish to a relay and subscribe to one, over reconnects, with nothing lost in silence.

The core does no I/O and reads no
clock: bytes and times go in, bytes and values come out. Imports only `relay.wire`, and Twisted for its front alone.
"""
