"""What the relay does, as plain values at one moment: snapshot, lists of connections, metrics, lengths of turns.

Imports `relay.peers` and what is below it. Nothing here changes what it looks at, or costs anything for a message:
numbers are gathered when somebody asks for them.
"""
