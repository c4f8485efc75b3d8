"""What peers bring can forge no line of the log, and no terminal obeys it, whichever way it comes."""

from __future__ import annotations

import json
import re
import socket
from tempfile import TemporaryDirectory

from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.peers import connection, receive_all
from tests.kit.process import Relay
from tests.kit.session_wires import control
from tests.kit.web import WEB_PORT, ask, rows

EVIL = "a\n2026-11-25T00:00:00+0000 [forged] \x1b[31m\u202eb"
"""A line end, a forged line, a terminal's sequence, and a mark that turns text around."""
PRINTABLE_STRING, BIT_STRING, T61_STRING, UTF8_STRING = 0x13, 0x03, 0x14, 0x0C
"""Types of text in certificates, as tags of DER."""
SUBJECTS = [
    (UTF8_STRING, EVIL.encode(), r"CN=a\\n2026.*\[forged\] \\x1b\[31m\\u202eb"),
    (T61_STRING, b"caf\xe9", "SHA256=[0-9a-f]{64}"),
    (BIT_STRING, b"\0\x01\x02", "SHA256=[0-9a-f]{64}"),
    (PRINTABLE_STRING, b"\xff", "SHA256=[0-9a-f]{64}"),
]


def check(relay: Relay, web: int) -> None:
    """See that everything that the relay shows is lines that print, and that none of them is forged."""
    for line in (*relay.log.text.splitlines(), ask(web, "/connections?ended")[2].decode(), ask(web, "/")[2].decode()):
        assert all(part.isprintable() for part in line.split("\n")), line
        assert not line.startswith("2026-11-25T00:00:00+0000")


def test_subjects_of_certificates(authority: Authority) -> None:
    options = ("--certificate", str(authority.issue()), "--publisher-ca", str(authority.ca))
    with Relay(*options, "--publish-tls", "tcp:0:interface=127.0.0.1", *WEB_PORT) as relay:
        web = int(relay.log.wait_for(r"listening for web on .*:(\d+)")[1])
        tls = int(relay.log.wait_for(r"publishers with TLS on 127\.0\.0\.1:(\d+)")[1])
        for number, (tag, value, _) in enumerate(SUBJECTS, 1):
            context = authority.client(authority.issue_odd(tag, value))
            with context.wrap_socket(connection(tls), server_hostname="localhost") as peer:
                peer.sendall(frame(b"message"))
            relay.log.wait_for("publisher .* disconnected: .* 1 messages", number)
        shown = [str(row["tls_subject"]) for row in reversed(rows(web, "/connections?ended"))]
        for subject, (_, _, pattern) in zip(shown, SUBJECTS, strict=True):
            assert subject.isprintable() and re.match(pattern, subject), subject
        check(relay, web)
        assert not relay.log.find("Traceback|Unhandled")


def test_addresses_that_a_proxy_passes_on() -> None:
    with Relay(*WEB_PORT, publish="haproxy:tcp:0") as relay:
        web = int(relay.log.wait_for(r"listening for web on .*:(\d+)")[1])
        for count, zone in enumerate(("x", EVIL, "\x1b[31m", "x y"), 1):
            with connection(relay.publish_port) as peer:
                peer.sendall(f"PROXY TCP6 ::1%{zone} ::1 1 2\r\n".encode() + frame(b"message"))
                peer.shutdown(socket.SHUT_WR)
                receive_all(peer)
            relay.log.wait_for("publisher .* disconnected", count)
        assert len(relay.log.find(r" for \[::1%x\]:1 disconnected")) == 1
        check(relay, web)


def test_paths_of_unix_sockets() -> None:
    with TemporaryDirectory() as folder, Relay(*WEB_PORT, "--publish", f"unix:{folder}/relay.sock") as relay:
        web = int(relay.log.wait_for(r"listening for web on .*:(\d+)")[1])
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(f"{folder}/{EVIL[:60]}")
            peer.connect(f"{folder}/relay.sock")
            peer.sendall(frame(b"message"))
        relay.log.wait_for(r"publisher unix:.*\\n2026.* disconnected: .* 1 messages")
        check(relay, web)


def test_names_and_what_is_wrong_with_a_hello() -> None:
    with Relay(*WEB_PORT) as relay:
        web = int(relay.log.wait_for(r"listening for web on .*:(\d+)")[1])
        for count, port in enumerate((relay.publish_port, relay.subscribe_port), 1):
            for wrong in ({"name": EVIL}, {"type": EVIL}, {"after": EVIL}, {"since": EVIL}):
                with connection(port) as peer:
                    hello = {"relay": 1, "type": ("publish", "subscribe")[count - 1], **wrong}
                    peer.sendall(control(**hello))
                    peer.shutdown(socket.SHUT_WR)
                    receive_all(peer)
        relay.log.wait_for("subscriber .* disconnected: session error", 4)
        check(relay, web)


def test_what_a_browser_sends() -> None:
    with Relay(*WEB_PORT) as relay:
        web = int(relay.log.wait_for(r"listening for web on .*:(\d+)")[1])
        quoted = EVIL.encode().hex(" ").upper().replace(" ", "%")
        for path in (f"/%{quoted}", f"/events?after=%{quoted}", f"/ws?session&name=%{quoted}"):
            status, _, body = ask(web, path, Origin="http://\x1b[31m", Last_Event_ID="\x1b[31m")
            assert status >= 400 and body.decode().rstrip("\n").isprintable(), body
        check(relay, web)


def test_json_is_ascii_or_printable_where_a_name_is_in_any_language() -> None:
    with Relay(*WEB_PORT) as relay:
        web = int(relay.log.wait_for(r"listening for web on .*:(\d+)")[1])
        with connection(relay.subscribe_port) as peer:
            peer.sendall(control(relay=1, type="subscribe", name="Grüße 漢字"))
            relay.log.wait_for("subscriber .* 'Grüße 漢字' begins a session")
            assert [row["name"] for row in rows(web)] == ["Grüße 漢字"]
            assert json.loads(ask(web, "/connections")[2])
