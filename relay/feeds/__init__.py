"""The log in other encodings, for browsers: each message is encoded once per feed, however many subscribers want it.

Imports `relay.core` and `relay.wire`. A feed is a consumer of the hub and has a hub of its own, so its subscribers are
promised what the hub promises. Encoding hardly delays subscribers that need none.
"""
