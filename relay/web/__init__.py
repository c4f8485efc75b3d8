"""The web port: the relay's numbers and connections for Prometheus and for people, and its messages for browsers.

It is an HTTP server of Twisted's with less in it. A request is a method, a path and a few headers; it has no body, and
is answered at once, in the reactor's thread, from what the relay knows anyway (`pages`), or by a stream that does not
end (`streams`): what has the connection then is no longer HTTP's, but a subscriber like any other (`subscribers`), or
somebody who looks at the status page (`viewers`). `site` has what is between that and the network, and every limit:

- A connection is for one request. So there is nothing to be sent behind a request that would be worked off before
  anything else gets its turn: 64 KiB are 3,500 requests for a page of 300 KB.
- It lasts so many seconds at most, in which the request has to come and the answer has to go, however the bytes
  trickle. Twisted's own timeout begins anew with every byte. A stream lasts as long as it is read.
- A request line and headers of 16 KiB together, at most 500 headers: those are Twisted's.
- A body is not waited for. Twisted would write it to a file, of any size.
- So many connections, counted apart from those of publishers and subscribers.

Nothing of it is imported by a relay without a web port.
"""
