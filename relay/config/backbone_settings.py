"""The settings of the backbone, which stand in `SETTINGS` with all others."""

from __future__ import annotations

from relay.config.setting import Setting
from relay.config.values import backbone_url, count, seconds, size

BACKBONE = (
    Setting(
        "backbone",
        "",
        backbone_url,
        "URL of a stream of NATS JetStream, nats://HOST:PORT,HOST:PORT/STREAM, or tls:// in front; all relays on it "
        "are one; empty: none",
        table="backbone",
    ),
    Setting(
        "backbone-credentials",
        "",
        str,
        "FILE with what NATS asks for: its own credentials file, or one line with the seed of an nkey, USER:PASSWORD "
        "or a token",
        table="backbone",
    ),
    Setting(
        "backbone-ca",
        "",
        str,
        "FILE with the authorities (PEM) that sign the certificates of NATS, with TLS; empty: those of the system",
        table="backbone",
    ),
    Setting(
        "backbone-certificate",
        "",
        str,
        "FILE with the certificate and the private key (PEM) that NATS is shown, with TLS",
        table="backbone",
    ),
    Setting(
        "backbone-replicas",
        "1",
        count,
        "servers of NATS that keep the stream, if the relay makes it: 1, 3 or 5",
        table="backbone",
    ),
    Setting(
        "backbone-size",
        "10GiB",
        size,
        "SIZE that the stream may take, if the relay makes it; the oldest messages are deleted",
        table="backbone",
    ),
    Setting(
        "backbone-age",
        "0",
        seconds,
        "seconds after which messages are deleted from the stream, if the relay makes it; 0: none because of its age",
        table="backbone",
    ),
)
