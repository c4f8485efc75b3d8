"""What the relay does, as plain values at one moment: snapshot, list of connections, metrics, lengths of turns.

Imports `relay.peers` and what is below it. Nothing here changes what it looks at, and no message pays for it: numbers
are put together when somebody asks.
"""
