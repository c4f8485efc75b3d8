"""Peers, one connection each: admission, publishers, subscribers, how they end, and what is remembered of them.

Imports the packages below. It promises those above that every accepted connection ends exactly once, with one reason
that is logged and counted, whatever the peer or its network does.
"""
