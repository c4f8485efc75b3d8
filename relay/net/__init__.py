"""The mechanics of sockets, and everything that touches Twisted's internals: transports, TLS, PROXY headers, ports.

Imports `relay.config` and `relay.wire`. Those above see listening ports and the transports of accepted connections, and
need not know what Twisted does inside.
"""
