"""All the cores of a machine: processes that take the subscribers of a relay.

Promises to those above: each subscriber of a worker is given what the relay's log has, in its order and under its
positions; a worker that ends or hangs is replaced; and what all workers do is known here.
"""
