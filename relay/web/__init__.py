"""The web port: the relay's numbers and connections for Prometheus and for people, and its messages for browsers.

It is Twisted's HTTP server, reduced. A request is a method, a path and a few headers, without a body. It is answered at
once, in the reactor's thread, from what the relay knows anyway (`pages`), or by a stream that does not end. Then the
connection belongs to a subscriber like any other (`streams`), or to a browser with the status page (`viewers`), and is
no longer HTTP's concern. `site` stands between all that and the network, and has the limits:

- A connection serves one request. With several, a peer could send many requests at once, which would all be answered
  before anything else gets its turn: 3,500 requests, for a page of 300 KB each, fit into 64 KiB.
- A connection lasts at most `SECONDS`, in which the request has to arrive and the answer has to leave. Twisted's own
  timeout begins anew with every byte. A stream lasts as long as the peer reads it.
- The request line and the headers have at most 16 KiB together, and there are at most 500 headers: Twisted's limits.
- The relay does not wait for a body. Twisted would write one of any size to a file.
- There are at most `MAX_WEB_CONNECTIONS`, which do not count among those of publishers and subscribers. One more is let
  in, and the oldest of the address that has most of them goes: to refuse it would let anybody keep health checks out.

A relay without a web port imports only `load` and `token`.
"""
