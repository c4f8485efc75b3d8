"""tester.top as a program: what it asks of a web port, and what becomes of wrong answers; live in a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tester.top.web import LARGEST, Address, WebError, WebPort
from tester.top.words import size
from tests.kit.certificates import Authority
from tests.kit.fakes import frame
from tests.kit.process import DEADLINE, Relay, free_port, roomy
from tests.kit.resets import reset
from tests.kit.web import relay, rows, wait_for_metric

# The web port


@contextmanager
def server(*answers: bytes, close: bool = True, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that answers so, one connection after the other, and then stays silent unless it is to `close`."""
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            for answer in answers:
                peer, _ = listening.accept()
                kept.append(peer)
                if context is not None:
                    peer = context.wrap_socket(peer, server_side=True)
                peer.settimeout(DEADLINE)
                request = b""
                while b"\r\n\r\n" not in request and request[:1] != b"\x16":  # the beginning of TLS
                    request += peer.recv(65536)
                peer.sendall(answer)
                if close:
                    peer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            for peer in kept:
                peer.close()
            thread.join(DEADLINE)


def answer(status: str, body: bytes = b"", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (answer("401 Unauthorized"), "wants a token: give the relay's --web-token-file as --token-file"),
        (answer("404 Not Found"), r"has no /page \(404\), so it is no relay's web port: name the port that"),
        (answer("500 Failed"), r"failed at /page \(500\): the relay's log says why"),
        (answer("302 Found"), "answers /page with status 302, which no relay does: name the port that"),
        (answer("200 OK", b"half", length=8), "ends the connection without an answer"),
        (b"", "ends the connection without an answer"),
        (frame(b"hello"), "speaks no HTTP: name the port that"),
        (answer("200 OK", b"x", length=LARGEST + 1) + bytes(LARGEST), "answers with more than 16,777,216 bytes"),
    ],
)
def test_what_is_wrong_with_an_answer_is_one_line_with_the_way_out(answered: bytes, words: str) -> None:
    with server(answered) as port, pytest.raises(WebError, match=f"^http://127.0.0.1:{port}/a {words}"):
        WebPort(Address(False, "127.0.0.1", port, "/a"), None).get("/page?x=1")


def test_who_does_not_answer_is_not_waited_for_for_ever() -> None:
    trickle = answer("200 OK", b"x", length=9)
    for answered in (b"", trickle):
        with server(answered, close=False) as port, pytest.raises(WebError, match=r"gives no answer within 0\.2 s: "):
            WebPort(Address(False, "127.0.0.1", port), None, timeout=0.2).get("/metrics")


def test_an_address_that_leads_nowhere_is_one_line() -> None:
    for host, words in (
        ("a..b", "has no address: there is no such name"),
        ("1:2", "has no address: "),
        ("255.255.255.255", "cannot be reached: "),
    ):
        with pytest.raises(WebError, match=f"^{re.escape(str(Address(False, host, 9)))} {words}") as caught:
            WebPort(Address(False, host, 9), None).get("/metrics")
        assert "\n" not in str(caught.value)


def test_tls_has_to_be_tls_and_of_somebody_who_is_trusted(tmp_path: Path) -> None:
    with server(answer("400 Bad Request")) as port, pytest.raises(WebError, match="speaks no TLS that we understand"):
        WebPort(Address(True, "127.0.0.1", port), None).get("/metrics")
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.issue())
    with server(answer("200 OK"), context=context) as port, pytest.raises(WebError, match="is not to be trusted: "):
        WebPort(Address(True, "127.0.0.1", port), None).get("/metrics")


def test_a_wrong_token_and_a_right_one_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wr0ng\n")
    theirs = tmp_path / "theirs"
    theirs.write_text("s3cret\n")
    with relay("--web-token-file", str(theirs)) as (_, port):
        web = WebPort(Address(False, "127.0.0.1", port), file)
        with pytest.raises(WebError, match=rf"refuses the token in {file}: give what the relay's --web-token-file has"):
            web.get("/metrics")
        file.write_text("s3cret\n")
        assert b"relay_build_info" in web.get("/metrics")
        done = top(str(port), "--token-file", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        file.write_text("two words")
        with pytest.raises(WebError, match=rf"{file}: a token is one word in a file of its own"):
            web.get("/metrics")
        file.unlink()
        with pytest.raises(WebError, match=rf"{file}: No such file or directory"):
            web.get("/metrics")
        assert top(str(port)).stderr.startswith(f"http://127.0.0.1:{port} wants a token: ")


# The program


def command(port: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tester.top", f"http://127.0.0.1:{port}", "--interval", "0.1", *arguments)


def top(port: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One frame, by the program itself."""
    return subprocess.run(
        command(port, "--once", *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, "COLUMNS": "80", "LINES": "25", "PYTHONUTF8": "1", **environment},
    )


def test_a_real_relay_and_its_slow_subscriber_are_seen_at_once() -> None:
    with (
        relay("--stall-timeout", "0", "--send-buffer", "4KiB") as (relay_, port),
        socket.create_connection(("127.0.0.1", relay_.publish_port), DEADLINE) as publisher,
        socket.create_connection(("127.0.0.1", relay_.subscribe_port), DEADLINE) as gone,
        roomy(relay_.subscribe_port, 4096) as slow,
    ):
        gone_peer = f"127.0.0.1:{gone.getsockname()[1]}"
        slow_port = slow.getsockname()[1]
        reset(gone)
        wait_for_metric(port, 'relay_subscribers{state="live"}', 1)
        publisher.sendall(frame(bytes(50_000)) * 20)
        wait_for_metric(port, "relay_published_messages_total", 20)
        wait_for_metric(port, 'relay_subscribers{state="lagging"}', 1)
        done = top(str(port))
        (lag,) = (row["lag"] for row in rows(port) if row["lag"])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80 and done.stdout.replace("\n", "").isprintable()
    assert re.fullmatch(rf"relay \S+ +http://127\.0\.0\.1:{port} +up 00:00:\d\d", lines[0])
    assert re.search(rf"^in +0 +0\.00 +20 +{re.escape(size(20 * 50_004))} *$", done.stdout, re.MULTILINE)
    assert re.search("^subscribers +1 +0 live, 1 lagging", done.stdout, re.MULTILINE)
    assert re.search("^publishers +1 +not blocked", done.stdout, re.MULTILINE)
    assert isinstance(lag, dict)
    (words,) = (line.split() for line in lines if line.startswith(f"127.0.0.1:{slow_port}"))
    assert words[-4:-1] == ["lagging", f"{lag['messages']:,}", f"{lag['bytes']:,}"]
    assert re.search(rf"^\d\d:\d\d:\d\d +connection lost +subscriber .*{gone_peer} *$", done.stdout, re.MULTILINE)


def test_a_relay_that_is_not_there_is_one_line_and_status_1() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        done = top(str(nobody.getsockname()[1]))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "is not there: start the relay with --web" in done.stderr


def test_without_a_terminal_there_is_no_live_view_and_what_cannot_be_printed_is_one_line() -> None:
    with relay() as (_, port):
        done = subprocess.run(command(str(port)), capture_output=True, text=True, timeout=DEADLINE)
        assert (done.returncode, done.stderr) == (1, "a live view needs a terminal; --once needs none\n")
        with Path("/dev/full").open("w") as output:
            done = subprocess.run(
                command(str(port), "--once"), stdout=output, stderr=subprocess.PIPE, text=True, timeout=DEADLINE
            )
        assert (done.returncode, done.stderr) == (1, "No space left on device\n")
        unread, pipe = os.pipe()
        os.close(unread)
        done = subprocess.run(
            command(str(port), "--once"), stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=DEADLINE
        )
        os.close(pipe)
        assert (done.returncode, done.stderr) == (0, "")  # a reader that has enough
        done = top(str(port), COLUMNS="30", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert "\\u2026" in done.stdout and done.stdout.isascii()  # what was cut ends in an ellipsis


def test_what_is_missing_is_named_with_the_command_that_installs_it() -> None:
    for module, package in (("rich", "rich"), ("prometheus_client", "prometheus-client")):
        hide = f"import sys, runpy; sys.modules['{module}'] = None; sys.argv = ['top']; "
        done = subprocess.run(
            [sys.executable, "-c", hide + "runpy.run_module('tester.top', run_name='__main__')"],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert (done.returncode, done.stderr) == (
            1,
            f"{package} is not installed; to get it: {sys.executable} -m pip install {package}\n",
        )


# A child takes the terminal at its standard input for its own, so that Ctrl-C there is for it.
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A terminal of 80 by 24 that runs a program."""

    def __init__(self, *command: str) -> None:
        self._keyboard, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *command],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env={**environment, "TERM": "xterm-256color", "PYTHONUTF8": "1"},
        )
        os.close(terminal)
        self._poll = select.poll()
        self._poll.register(self._keyboard, select.POLLIN)
        self.printed = b""

    def frames(self) -> list[str]:
        """What was to be seen, one after the other, without colours; the last may not be whole."""
        text = self.printed.decode(errors="replace")
        return [re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", frame) for frame in text.split("\x1b[H")]

    def wait_for(self, seen: Callable[[str], object]) -> None:
        """Until a frame is as it should be; only the last and those that come are looked at."""
        looked = max(0, len(self.frames()) - 2)
        deadline = time.monotonic() + DEADLINE
        while not any(map(seen, self.frames()[looked:-1])):
            assert time.monotonic() < deadline, self.frames()[-2:]
            self._read()

    def _read(self) -> bool:
        """Whether there may be more."""
        if not self._poll.poll(100):
            return True
        try:
            self.printed += os.read(self._keyboard, 65536)
        except OSError:  # nobody has it open any more
            return False
        return True

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def end(self) -> int:
        """Read the rest, and return the exit status."""
        while self._read():
            pass
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)
        os.close(self._keyboard)


def flow(direction: str, total: str) -> Callable[[str], object]:
    """Whether a frame has that line, with any rate."""
    return re.compile(rf"^{direction} +\S+ +\S+ +{total} *\r?$", re.MULTILINE).search


def test_the_live_view_follows_a_relay_through_its_restart_and_ends_with_ctrl_c() -> None:
    port = free_port()
    web = ("--web", f"tcp:{port}:interface=127.0.0.1")
    with Relay(*web) as relay:
        terminal = Terminal(*command(str(port)))
        try:
            terminal.wait_for(flow("in", "0 +0 B"))
            with socket.create_connection(("127.0.0.1", relay.publish_port), DEADLINE) as publisher:
                publisher.sendall(frame(b"hello") * 3)
                terminal.wait_for(flow("in", "3 +27 B"))
                terminal.wait_for(re.compile("^publishers +1 ", re.MULTILINE).search)
            assert any(re.search(r"^in +[1-9]", frame, re.MULTILINE) for frame in terminal.frames())
            terminal.wait_for(re.compile("peer closed +publisher ").search)
            relay.stop()
            terminal.wait_for(re.compile("is not there: start the relay").search)
            with Relay(*web):
                terminal.wait_for(flow("in", "0 +0 B"))
                assert not re.search(r"^(in|out) +-\d", "\n".join(terminal.frames()), re.MULTILINE)
                terminal.type(b"\x03")
                assert terminal.end() == 0
            assert b"\x1b[?1049l" in terminal.printed and b"\x1b[?25h" in terminal.printed  # as it was before
            assert b"Traceback" not in terminal.printed
        finally:
            terminal.close()
