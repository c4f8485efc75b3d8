"""Other relays and servers to which the relay connects: messages come from there, or go there.

A pull is a publisher whose connection the relay makes itself: what comes goes into the hub as whole runs, and it waits
when publishers wait. A mirror is a pull that takes over the numbers, too. A push is a subscriber whose connection the
relay makes. All are listed among the connections. A relay that connects to nobody does not import this.
"""
