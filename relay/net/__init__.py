"""The mechanics of sockets, and everything that touches Twisted's internals: transports, TLS, PROXY headers, ports.

Imports `relay.config` and `relay.wire`. The packages above see ports that listen (`ports`), and accepted connections,
each with an `AcceptedTransport` (`transport`) and an `Outlet` (`outlet`). They need not know what Twisted does inside.
"""
