"""Everything that can be set: each setting once, with its default, its meaning, and how its text is understood.

The command line, the configuration file and the tests of the documentation are all made from `SETTINGS`.
"""

from __future__ import annotations

from twisted.logger import LogLevel

from relay.config.setting import Part, Setting
from relay.config.values import count, count_or_auto, endpoint, network, one_of, origin, seconds, size
from relay.core.slow import SLOW_POLICIES
from relay.wire.framing import FRAMINGS

LEVELS = {"debug": LogLevel.debug, "info": LogLevel.info, "warn": LogLevel.warn, "error": LogLevel.error}

SETTINGS = (
    Setting(
        "publish", "tcp:8001", endpoint, "ENDPOINT where publishers connect; may be repeated; none: nowhere", many=True
    ),
    Setting(
        "subscribe",
        "tcp:8002",
        endpoint,
        "ENDPOINT where subscribers connect; may be repeated; none: nowhere",
        many=True,
    ),
    Setting(
        "framing",
        "int32",
        one_of(FRAMINGS),
        "how messages are told apart, on both sides: int32 (a 4-byte big-endian length before each), "
        "line (a newline after each, which stays on the wire), raw (every read is a message)",
        shown=True,
    ),
    Setting(
        "max-message",
        "99999",
        size,
        "longest message accepted, a SIZE without length or newline",
        shown=True,
    ),
    Setting(
        "buffer",
        "64MiB",
        size,
        "memory for the newest messages, kept for subscribers that lag, a SIZE",
        shown=True,
    ),
    Setting(
        "slow",
        "disconnect",
        one_of(SLOW_POLICIES),
        "what happens to a subscriber that falls further behind than the buffer reaches: disconnect it, "
        "skip what it lacks, or block the publishers so that it does not come to that",
        reload=Part.HUB,
        shown=True,
    ),
    Setting(
        "stall-timeout",
        "60",
        seconds,
        "seconds after which a subscriber is cut that takes nothing while something waits for it; 0: never",
        reload=Part.HUB,
        shown=True,
    ),
    Setting(
        "replay",
        "0",
        count,
        "messages before the newest that a new subscriber starts with, at most what a quarter of the buffer holds",
        shown=True,
    ),
    Setting(
        "max-connections",
        "auto",
        count_or_auto,
        "how many connections there may be, of both roles together: more are closed at once; "
        "auto: what the limit of open files allows, at most 65,536",
        table="limits",
        reload=Part.LIMITS,
    ),
    Setting(
        "max-per-address",
        "0",
        count,
        "how many connections there may be from one address; 0: no such limit",
        table="limits",
        reload=Part.LIMITS,
        shown=True,
    ),
    Setting(
        "allow-publishers",
        "none",
        network,
        "addresses that publishers may connect from, NETWORKS with commas between; none: all",
        many=True,
        table="limits",
        reload=Part.NETWORKS,
    ),
    Setting(
        "allow-subscribers",
        "none",
        network,
        "addresses that subscribers may connect from, NETWORKS with commas between; none: all",
        many=True,
        table="limits",
        reload=Part.NETWORKS,
    ),
    Setting(
        "frame-timeout",
        "30",
        seconds,
        "seconds that a publisher has to complete a message that it began, before it is cut; 0: no limit",
        table="limits",
        reload=Part.PUBLISHERS,
        shown=True,
    ),
    Setting(
        "keepalive",
        "60",
        count,
        "seconds of silence after which TCP asks, six times in a minute, whether a peer is still there; 0: never",
        table="limits",
        shown=True,
    ),
    Setting(
        "send-buffer",
        "256KiB",
        size,
        "what the kernel may hold for one subscriber and not send yet, a SIZE; it does not count in the buffer",
        table="limits",
        shown=True,
    ),
    Setting(
        "drain-timeout",
        "5",
        seconds,
        "seconds that subscribers have, when the relay stops, to read what is left for them",
        table="limits",
        reload=Part.DRAIN,
        shown=True,
    ),
    Setting(
        "publish-tls",
        "none",
        endpoint,
        "ENDPOINT where publishers connect with TLS, besides those of --publish; may be repeated",
        many=True,
        table="tls",
    ),
    Setting(
        "subscribe-tls",
        "none",
        endpoint,
        "ENDPOINT where subscribers connect with TLS, besides those of --subscribe; may be repeated",
        many=True,
        table="tls",
    ),
    Setting(
        "certificate", "", str, "FILE with the certificate and its chain (PEM)", table="tls", reload=Part.CREDENTIALS
    ),
    Setting(
        "private-key",
        "",
        str,
        "FILE with the private key (PEM); if not given, it is in the file of the certificate",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "publisher-ca",
        "",
        str,
        "FILE with the authorities (PEM) that must have signed the certificates of publishers, where there is TLS",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "subscriber-ca",
        "",
        str,
        "FILE with the authorities (PEM) that must have signed the certificates of subscribers, where there is TLS",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "tls-timeout",
        "5",
        seconds,
        "seconds that a peer has to complete a TLS handshake, before it is cut; 0: no limit",
        table="tls",
        reload=Part.HANDSHAKES,
    ),
    Setting(
        "web",
        "none",
        endpoint,
        "ENDPOINT of the web port: status page, metrics, messages for browsers; may be repeated; "
        "needs pip install 'relay[web]'",
        many=True,
        table="web",
    ),
    Setting(
        "web-token-file",
        "",
        str,
        "FILE with the token without which the web port tells nobody more than that the relay lives",
        table="web",
    ),
    Setting(
        "web-origin",
        "none",
        origin,
        "ORIGIN of web pages, such as https://example.org, that may have the messages by /ws and /events, "
        "besides the relay's own; may be repeated",
        many=True,
        table="web",
        reload=Part.WEB,
    ),
    Setting(
        "log-format", "text", one_of({"text": "text", "json": "json"}), "text, or json: an object a line", table="log"
    ),
    Setting(
        "log-level",
        "info",
        one_of(LEVELS),
        "the least important events logged",
        table="log",
        reload=Part.LOG,
        shown=True,
    ),
)
