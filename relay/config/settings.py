"""Every setting, with its default, its meaning, and how its text is parsed.

The options of the command line and the names in the configuration file are made from `SETTINGS`, and tests compare the
documentation with it.
"""

from __future__ import annotations

from twisted.logger import LogLevel

from relay.config.backbone_settings import BACKBONE
from relay.config.reach_settings import REACH
from relay.config.setting import Part, Setting
from relay.config.values import (
    count,
    count_or_auto,
    endpoint,
    host,
    network,
    one_of,
    origin,
    seconds,
    seconds_or_always,
    size,
)
from relay.core.slow import SLOW_POLICIES
from relay.wire.framings import find_framing

MAX_NAMES = 10_000
"""Names of publishers: some 300 bytes each, 3 MB in all."""
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
        find_framing,
        "how messages are told apart, on both sides: int32, int16 (a big-endian length of 4 or 2 bytes before each), "
        "varint (a length as Protocol Buffers write it), octet (syslog's octet counting), netstring, line, cr, nul (a "
        "newline, carriage return or zero byte after each, which stays on the wire), raw (every read is a message), or "
        "a class of your own, as package.module:Class",
        shown=True,
    ),
    Setting(
        "max-message",
        "99999",
        size,
        "SIZE of the longest message accepted, not counting its length prefix or newline",
        shown=True,
    ),
    Setting(
        "buffer",
        "64MiB",
        size,
        "SIZE of the memory for the newest messages, which are kept for subscribers that lag",
        shown=True,
    ),
    Setting(
        "slow",
        "disconnect",
        one_of(SLOW_POLICIES),
        "what happens when a subscriber falls further behind than the buffer reaches: disconnect it, skip the messages "
        "that it lacks, or block publishers in time, so that it never falls that far behind",
        reload=Part.HUB,
        shown=True,
    ),
    Setting(
        "stall-timeout",
        "180",
        seconds,
        "seconds after which a subscriber is cut if it takes nothing although messages wait for it; 0: never",
        reload=Part.HUB,
        shown=True,
    ),
    Setting(
        "replay",
        "0",
        count,
        "how many recent messages a new subscriber starts with, at most as many as a quarter of the buffer holds",
        shown=True,
    ),
    Setting(
        "max-connections",
        "auto",
        count_or_auto,
        "how many connections publishers and subscribers may have together; any more are closed at once; "
        "auto: as many as the limit of open files allows, at most 65,536",
        table="limits",
        reload=Part.LIMITS,
    ),
    Setting(
        "max-per-address",
        "0",
        count,
        "how many connections there may be from one IPv4 address, or one /64 network of IPv6; 0: no limit",
        table="limits",
        reload=Part.LIMITS,
        shown=True,
    ),
    Setting(
        "allow-publishers",
        "none",
        network,
        "NETWORKS, separated by commas, that publishers may connect from; none: all",
        many=True,
        table="limits",
        reload=Part.NETWORKS,
    ),
    Setting(
        "allow-subscribers",
        "none",
        network,
        "NETWORKS, separated by commas, that subscribers may connect from; none: all",
        many=True,
        table="limits",
        reload=Part.NETWORKS,
    ),
    Setting(
        "frame-timeout",
        "30",
        seconds,
        "seconds in which a publisher must complete a message that it has begun, or send 2 KiB more of it, or be cut; "
        "0: no limit",
        table="limits",
        reload=Part.PUBLISHERS,
        shown=True,
    ),
    Setting(
        "too-long",
        "disconnect",
        one_of({"disconnect": "disconnect", "discard": "discard"}),
        "what happens when a publisher sends a message longer than --max-message: disconnect it; or, with the framings "
        "line, cr and nul, discard the message and go on behind its delimiter",
        table="limits",
        reload=Part.PUBLISHERS,
        shown=True,
    ),
    Setting(
        "publisher-names",
        str(MAX_NAMES),
        count,
        "names of publishers that are not connected, to be remembered with the number of messages accepted under each; "
        "the one longest unseen is forgotten first",
        table="limits",
        reload=Part.PUBLISHERS,
    ),
    Setting(
        "keepalive",
        "60",
        count,
        "seconds of silence after which TCP probes, six times in a minute, whether a peer is still there; 0: never",
        table="limits",
        shown=True,
    ),
    Setting(
        "idle-seconds",
        "0",
        seconds,
        "seconds without a message after which subscribers are sent --idle-message, so that no middlebox forgets their "
        "connections; not those with sessions or at the web port, which have signs of life of their own; 0: never",
        table="limits",
        reload=Part.HUB,
        shown=True,
    ),
    Setting(
        "idle-message",
        "",
        str,
        "TEXT that is sent to silent subscribers, framed as a message is, and not counted as one",
        table="limits",
        reload=Part.HUB,
    ),
    Setting(
        "send-buffer",
        "256KiB",
        size,
        "SIZE of the data that the kernel may hold, unsent, for one subscriber; it does not count towards --buffer",
        table="limits",
        shown=True,
    ),
    Setting(
        "drain-timeout",
        "5",
        seconds,
        "seconds that subscribers have to read the rest of their messages when the relay stops",
        table="limits",
        reload=Part.DRAIN,
        shown=True,
    ),
    Setting(
        "journal",
        "",
        str,
        "DIR where all messages are kept on disk, so that a restart loses none; empty: nowhere",
        table="journal",
    ),
    Setting(
        "journal-size",
        "10GiB",
        size,
        "SIZE that the journal may take on disk; the oldest messages are deleted",
        table="journal",
        reload=Part.JOURNAL,
    ),
    Setting(
        "journal-age",
        "0",
        seconds,
        "seconds after which messages are deleted from the journal; 0: never because of their age",
        table="journal",
        reload=Part.JOURNAL,
    ),
    Setting(
        "journal-sync",
        "always",
        seconds_or_always,
        "seconds from a message to the sync that brings it to the disk; always: as fast as the disk can, and a message "
        "is accepted only then",
        table="journal",
        reload=Part.JOURNAL,
    ),
    *BACKBONE,
    Setting(
        "publish-tls",
        "none",
        endpoint,
        "ENDPOINT where publishers connect with TLS, in addition to --publish; may be repeated",
        many=True,
        table="tls",
    ),
    Setting(
        "subscribe-tls",
        "none",
        endpoint,
        "ENDPOINT where subscribers connect with TLS, in addition to --subscribe; may be repeated",
        many=True,
        table="tls",
    ),
    Setting(
        "certificate",
        "",
        str,
        "FILE with the relay's certificate for TLS, followed by its chain (PEM)",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "private-key",
        "",
        str,
        "FILE with the private key of the certificate (PEM); if not given, the key is in the file of --certificate",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "publisher-ca",
        "",
        str,
        "FILE with authorities (PEM): a publisher that connects with TLS needs a certificate that one of them signed",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "subscriber-ca",
        "",
        str,
        "FILE with authorities (PEM): a subscriber that connects with TLS needs a certificate that one of them signed",
        table="tls",
        reload=Part.CREDENTIALS,
    ),
    Setting(
        "tls-timeout",
        "5",
        seconds,
        "seconds in which a peer must complete its TLS handshake, or be cut; 0: no limit",
        table="tls",
        reload=Part.HANDSHAKES,
    ),
    *REACH,
    Setting(
        "web",
        "none",
        endpoint,
        "ENDPOINT of the web port, with the status page, metrics, and messages for browsers; may be repeated; "
        "needs the packages prometheus-client and wsproto",
        many=True,
        table="web",
    ),
    Setting(
        "web-token-file",
        "",
        str,
        "FILE with a token: the web port answers only requests that show it, except for /healthz",
        table="web",
    ),
    Setting(
        "web-host",
        "none",
        host,
        "NAME of a host under which the web port is asked, besides IP addresses and localhost; may be repeated; with a "
        "token all names are good",
        many=True,
        table="web",
        reload=Part.WEB,
    ),
    Setting(
        "web-origin",
        "none",
        origin,
        "ORIGIN, such as https://example.org, whose web pages may read messages by /ws and /events, as the relay's own "
        "pages may; may be repeated",
        many=True,
        table="web",
        reload=Part.WEB,
    ),
    Setting(
        "log-format",
        "text",
        one_of({"text": "text", "json": "json"}),
        "the format of the log: text, or json (one object per line)",
        table="log",
    ),
    Setting(
        "log-level",
        "info",
        one_of(LEVELS),
        "the lowest level of the events that are logged: debug, info, warn or error",
        table="log",
        reload=Part.LOG,
        shown=True,
    ),
)
