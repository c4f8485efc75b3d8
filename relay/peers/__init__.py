"""One peer, one connection: who is admitted, publishers, subscribers, how they end, and what is remembered of them.

Imports everything below. Every connection that was accepted ends exactly once, with one reason that is logged and
counted, whatever the peer or its network does.
"""
