"""One peer, one connection: who is admitted, publishers, subscribers, how their connections end, and what is kept of them.

Imports everything below. Every connection that was accepted ends exactly once, with one reason that is logged and
counted, whatever the peer or its network does.
"""
