"""The settings of connections to other relays and servers, which stand in `SETTINGS` with all others."""

from __future__ import annotations

from relay.config.setting import Part, Setting
from relay.config.values import mirrored, remote, workers

REACH = (
    Setting(
        "pull",
        "none",
        remote,
        "ENDPOINT to connect to, such as tcp:HOST:PORT or tls:HOST:PORT, and to publish what comes from there; with "
        "session: before it, a relay from which no message is lost or doubled over reconnects; may be repeated",
        many=True,
        table="reach",
        reload=Part.REACH,
    ),
    Setting(
        "push",
        "none",
        remote,
        "ENDPOINT to connect to, as for --pull, and to send every message there; with session: before it, a relay to "
        "which no message is lost or doubled over reconnects; may be repeated",
        many=True,
        table="reach",
        reload=Part.REACH,
    ),
    Setting(
        "mirror",
        "none",
        mirrored,
        "ENDPOINT of a relay, as for --pull, whose messages this one hands out under the same positions, so that a "
        "subscriber may move between the two; nobody publishes to a mirror",
        table="reach",
    ),
    Setting(
        "workers",
        "0",
        workers,
        "processes that take the subscribers who connect by TCP, to use more cores; auto: one for each core but "
        "one; 0: none",
        table="reach",
    ),
    Setting(
        "reach-ca",
        "",
        str,
        "FILE with authorities (PEM), one of which must have signed the certificate of whoever the relay connects to "
        "with TLS; empty: those that the system trusts",
        table="reach",
        reload=Part.REACH,
    ),
    Setting(
        "reach-certificate",
        "",
        str,
        "FILE with the certificate, and its chain (PEM), that the relay shows where it connects with TLS",
        table="reach",
        reload=Part.REACH,
    ),
    Setting(
        "reach-private-key",
        "",
        str,
        "FILE with the private key of that certificate (PEM); if not given, the key is in the file of "
        "--reach-certificate",
        table="reach",
        reload=Part.REACH,
    ),
)
