"""Other relays and servers: fetches messages from them.

A pull is a publisher whose connection the relay makes itself: what comes goes into the hub as whole runs, it waits when
publishers wait, and it is listed among the connections. A relay that reaches for nobody does not import this.
"""
