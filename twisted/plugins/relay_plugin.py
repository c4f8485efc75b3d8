"""Makes `twistd relay` known to Twisted; imports nothing of ours until it is asked for."""

from twisted.application.service import ServiceMaker

relay = ServiceMaker(
    "Relay",
    "relay.daemon.entry",
    "A broadcast daemon: every message published on one port reaches every subscriber on another.",
    "relay",
)
