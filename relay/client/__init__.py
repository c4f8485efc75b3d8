"""The client library: publish to a relay and subscribe to one, over reconnects, with nothing lost in silence.

`relay.client.asyncio` is the front for asyncio, `relay.client.twisted` that for Twisted. Below both is a core without
I/O and without a clock: bytes and times go in, bytes and values come out. Only the front for Twisted imports Twisted.
"""
