"""The backbone: any number of relays with one order, on a stream of NATS JetStream. `docs/backbone.md` has the rules.

Imports `relay.core` and `relay.wire`, and no Twisted. The fold, which decides what counts, and the outbox, which
proposes, are without I/O; nats-py, an extra, is imported by `link` and `stream` only. It promises the packages above
that all relays of a stream hand out the same messages under the same positions, and that what is acknowledged is one
of these, once.
"""
