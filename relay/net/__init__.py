"""The mechanics of sockets, and everything that touches Twisted's internals: transports, TLS, PROXY headers, ports.

Imports `relay.config` and `relay.wire`. Those above see ports that listen (`ports`), and that each accepted connection
has an `AcceptedTransport` (`transport`) and an `Outlet` (`outlet`). What Twisted does inside is no business of theirs.
"""
