"""What publishers can do to the framing, each beside a healthy publisher and subscriber, with a real relay.

The healthy two speak `int32`; the other framings are tried with the same faults, and a subscriber of their own.
"""

from __future__ import annotations

import socket
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from signal import SIGHUP
from struct import Struct, pack, unpack_from

import pytest

from relay.client.kernel import on_its_way
from relay.wire.framings import FRAMINGS
from tests.kit.fakes import frame
from tests.kit.healthy import HEADER, Healthy, others, processor_time
from tests.kit.peers import connection, receive, receive_all, subscribers
from tests.kit.process import DEADLINE, Relay
from tests.kit.proxy import Fault, Proxy

pytestmark = pytest.mark.alone

LIMIT = 99_999
INT = Struct("i")
LONG = 8 * 2**20 - 4
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1


def beside(relay: Relay, framing: str) -> AbstractContextManager[object]:
    """The healthy two, if they speak the framing."""
    return Healthy(relay) if framing == "int32" else nullcontext()


def receive_as(framing: str, peer: socket.socket, size: int) -> bytes:
    """So many bytes of what a subscriber receives, without those of the healthy publisher."""
    if framing != "int32":
        return receive(peer, size)
    data = bytearray()
    for message in others(peer.makefile("rb")):
        data += frame(message)
        if len(data) >= size:
            break
    return bytes(data)


def wire(framing: str, *messages: bytes) -> bytes:
    """Messages as they are sent."""
    if framing == "line":
        return b"".join(message + b"\n" for message in messages)
    return b"".join(map(frame, messages)) if framing == "int32" else b"".join(messages)


def send_apart(peer: socket.socket, *pieces: bytes) -> None:
    """Send each piece when the relay has read the one before: they are reads of their own."""
    for piece in pieces:
        peer.sendall(piece)
        deadline = time.monotonic() + DEADLINE
        while unread(peer):
            assert time.monotonic() < deadline, "the relay does not read"


def unread(peer: socket.socket) -> int:
    """Bytes that a peer sent and the other end has not read, both on this machine."""
    unsent = on_its_way(peer.fileno()) or 0
    return unsent or receive_queue(peer.getpeername(), peer.getsockname())


def receive_queue(end: tuple[str, int], other: tuple[str, int]) -> int:
    """Bytes that wait to be read at one end of a connection, as sock_diag(7) tells it of that one alone."""
    addresses = b"".join(socket.inet_aton(host).ljust(16, b"\0") for host, _ in (end, other))
    which = pack("!HH", end[1], other[1]) + addresses + pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    request = pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + which
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        kernel.send(pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + request)
        answer = kernel.recv(8192)
    kind, waiting = unpack_from("=H", answer, 4)[0], unpack_from("=I", answer, 72)[0]
    assert kind == SOCK_DIAG_BY_FAMILY, "there is no such connection"
    assert isinstance(waiting, int)
    return waiting


def test_a_length_over_the_limit_ends_that_publisher_and_nothing_after_it_is_delivered() -> None:
    lengths = (LIMIT + 1, 0x7FFFFFFF, 0xFFFFFFFF)
    with Relay() as relay, Healthy(relay), subscribers(relay) as [peer]:
        for length in lengths:
            with connection(relay.publish_port) as bad:
                bad.sendall(frame(b"before") + pack("!I", length) + frame(b"late") * 1000)
                assert receive_all(bad) == b""
            relay.log.wait_for(f"it sent a message of {length:,} bytes, more than the limit of 99,999 bytes$")
        with connection(relay.publish_port) as good:
            good.sendall(frame(b"after"))
            assert receive_as("int32", peer, 39) == frame(b"before") * 3 + frame(b"after")
        assert len(relay.log.find("message too long, 1 messages")) == 3


def test_a_length_over_the_limit_is_refused_however_its_header_is_split() -> None:
    bad_header = pack("!I", LIMIT + 1)
    with Relay() as relay, Healthy(relay), subscribers(relay) as [peer]:
        for cut in range(1, 4):
            with connection(relay.publish_port) as bad:
                send_apart(bad, frame(b"before") + bad_header[:cut])
                bad.sendall(bad_header[cut:] + frame(b"late"))
                assert receive_all(bad) == b""
        with connection(relay.publish_port) as good:
            good.sendall(frame(b"after"))
            assert receive_as("int32", peer, 39) == frame(b"before") * 3 + frame(b"after")


def test_a_line_over_the_limit_ends_that_publisher() -> None:
    with Relay("--framing", "line") as relay, subscribers(relay) as [peer]:
        with connection(relay.publish_port) as bad:
            bad.sendall(b"before\n" + b"x" * (LIMIT + 1) + b"\nlate\n")
            assert receive_all(bad) == b""
        relay.log.wait_for("disconnected: message too long, 1 messages")
        with connection(relay.publish_port) as good:
            good.sendall(b"after\n")
            assert receive(peer, 13) == b"before\nafter\n"


def test_a_line_over_the_limit_is_discarded_if_the_relay_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[limits]\ntoo-long = "discard"\n')
    with Relay("--framing", "line", "--config", str(file)) as relay, subscribers(relay) as [peer]:
        with connection(relay.publish_port) as publisher:
            for _ in range(3):  # one that sends it again and again
                publisher.sendall(b"before\n" + b"x" * (3 * LIMIT) + b"\nafter\n")
            assert receive(peer, 39) == b"before\nafter\n" * 3
            discarded = "more than the limit of 99,999 bytes, which is discarded"
            relay.log.wait_for(discarded, 3)
            assert len(relay.log.find(discarded)) == 3
            file.write_text('[limits]\ntoo-long = "disconnect"\n')
            relay.log.process.send_signal(SIGHUP)
            relay.log.wait_for("reloaded")
            publisher.sendall(b"x" * (LIMIT + 1) + b"\nlate\n")
            assert receive_all(publisher) == b""
        relay.log.wait_for("disconnected: message too long, 6 messages")


@pytest.mark.parametrize(("framing", "bad"), [("netstring", b"1:x;"), ("octet", b"x"), ("varint", b"\x80" * 5)])
def test_what_is_no_message_ends_that_publisher(framing: str, bad: bytes) -> None:
    one, two = (FRAMINGS[framing].frame(message) for message in (b"before", b"after"))
    with Relay("--framing", framing) as relay, subscribers(relay) as [peer]:
        with connection(relay.publish_port) as publisher:
            publisher.sendall(one + bad + one)
            assert receive_all(publisher) == b""
        relay.log.wait_for("disconnected: bad frame, 1 messages")
        with connection(relay.publish_port) as publisher:
            publisher.sendall(two)
            assert receive(peer, len(one + two)) == one + two


@pytest.mark.parametrize("framing", ["int32", "line", "raw"])
def test_a_message_at_the_limit_is_delivered_and_so_is_an_empty_one(framing: str) -> None:
    data = wire(framing, b"", b"x" * LIMIT, b"", b"y" * LIMIT)
    with (
        Relay("--framing", framing) as relay,
        beside(relay, framing),
        subscribers(relay) as [peer],
        connection(relay.publish_port) as publisher,
    ):
        publisher.sendall(data)
        assert receive_as(framing, peer, len(data)) == data


@pytest.mark.parametrize("framing", ["int32", "line"])
def test_a_hundred_thousand_empty_messages_are_that_many_messages(framing: str) -> None:
    data = wire(framing, b"") * 100_000
    with Relay("--framing", framing) as relay, beside(relay, framing), subscribers(relay) as [peer]:
        with connection(relay.publish_port) as publisher:
            publisher.sendall(data)
            assert receive_as(framing, peer, len(data)) == data
        relay.log.wait_for(f"publisher .* disconnected: peer closed, 100,000 messages, {len(data):,} bytes$")


@pytest.mark.parametrize("framing", ["int32", "line", "raw"])
def test_it_does_not_matter_where_a_stream_is_split(framing: str) -> None:
    data = wire(framing, b"", b"a", b"", b"\n" if framing == "int32" else b"b", b"0123456789")
    with (
        Relay("--framing", framing) as relay,
        beside(relay, framing),
        subscribers(relay) as [peer],
        connection(relay.publish_port) as publisher,
    ):
        for cut in range(1, len(data)):
            send_apart(publisher, data[:cut], data[cut:])
        send_apart(publisher, *(data[at : at + 1] for at in range(len(data))))
        assert receive_as(framing, peer, len(data) * len(data)) == data * len(data)


@pytest.mark.parametrize("framing", ["int32", "line"])
def test_a_message_that_is_begun_and_not_completed_ends_its_publisher_in_time(framing: str) -> None:
    begun = {"int32": [b"\0", pack("!I", 5), pack("!I", 5) + b"hell"], "line": [b"h", b"hello", b"x" * LIMIT]}[framing]
    with (
        Relay("--framing", framing, "--frame-timeout", "1") as relay,
        beside(relay, framing),
        subscribers(relay) as [peer],
        connection(relay.publish_port) as quiet,
        ExitStack() as stack,
    ):
        begin = time.monotonic()
        silent = [stack.enter_context(connection(relay.publish_port)) for _ in begun]
        for publisher, part in zip(silent, begun, strict=True):
            publisher.sendall(wire(framing, b"whole") + part)
        for publisher in silent:
            assert receive_all(publisher) == b""
        assert 1 <= time.monotonic() - begin < 10
        relay.log.wait_for(r"frame timeout, 1 messages, .* it began a message and did not complete it in 1 s", 3)
        quiet.sendall(wire(framing, b"silence between messages has no limit"))
        expected = wire(framing, *[b"whole"] * 3, b"silence between messages has no limit")
        assert receive_as(framing, peer, len(expected)) == expected


def test_a_message_that_comes_too_slowly_ends_its_publisher_though_it_is_never_silent() -> None:
    with (
        Relay("--frame-timeout", "1") as relay,
        Healthy(relay),
        Proxy(relay.publish_port, up=Fault(slice=1, rate=10)) as proxy,
        connection(proxy.port) as slow,
    ):
        slow.sendall(frame(b"it takes half a minute to send this message" * 8))
        assert receive_all(slow) == b""
        partial = relay.log.wait_for(r"frame timeout, 0 messages, 0 bytes, ([\d,]+) bytes of an incomplete message")
        assert int(partial[1]) > 4


@pytest.mark.parametrize("framing", ["int32", "line"])
def test_a_byte_at_a_time_inside_a_large_message_costs_a_read_each_and_no_copy_of_the_message(framing: str) -> None:
    data = wire(framing, b"x" * LONG)
    apart = 1000
    options = ("--framing", framing, "--max-message", f"{LONG}", "--frame-timeout", "0")
    with (
        Relay(*options) as relay,
        beside(relay, framing),
        subscribers(relay) as [peer],
        connection(relay.publish_port) as publisher,
    ):
        send_apart(publisher, data[:-apart])
        before = processor_time(relay.pid)
        send_apart(publisher, *(data[at : at + 1] for at in range(len(data) - apart, len(data))))
        assert receive_as(framing, peer, len(data)) == data
        used = processor_time(relay.pid) - before
    # A read costs some 30 us of processor time, and a copy of what is there before each some 1,000 us: 1 s for all.
    assert used < 0.5, f"{used:.2f} s"


@pytest.mark.parametrize("framing", ["int32", "line"])
@pytest.mark.parametrize("end", ["cut", "reset"])
def test_an_end_inside_a_message_drops_that_message_alone(framing: str, end: str) -> None:
    whole, begun = wire(framing, b"whole"), wire(framing, b"only begun")
    with Relay("--framing", framing) as relay, beside(relay, framing), subscribers(relay) as [peer]:
        for count in range(1, len(begun)):
            fault = Fault(cut=len(whole) + count) if end == "cut" else Fault(reset=len(whole) + count)
            with Proxy(relay.publish_port, up=fault) as proxy, connection(proxy.port) as publisher:
                publisher.sendall(whole + begun)
                assert receive_all(publisher) == b""
            reason = "peer closed" if end == "cut" else "connection lost"
            relay.log.wait_for(f"{reason}, 1 messages, {len(whole)} bytes, {count} bytes of an incomplete message")
        with connection(relay.publish_port) as publisher:
            publisher.sendall(begun)
            expected = whole * (len(begun) - 1) + begun
            assert receive_as(framing, peer, len(expected)) == expected


@pytest.mark.parametrize("framing", ["int32", "line"])
def test_two_publishers_whose_messages_come_in_turns_are_not_mixed(framing: str) -> None:
    first, second = (wire(framing, *(name * size for size in range(1, 20))) for name in (b"a", b"b"))
    with (
        Relay("--framing", framing) as relay,
        beside(relay, framing),
        subscribers(relay) as [peer],
        connection(relay.publish_port) as one,
        connection(relay.publish_port) as other,
    ):
        for at in range(0, len(first), 3):
            send_apart(one, first[at : at + 3])
            send_apart(other, second[at : at + 3])
        data = receive_as(framing, peer, len(first) + len(second))
    assert sorted(messages(framing, data)) == sorted(messages(framing, first + second))
    for stream, name in ((first, b"a"), (second, b"b")):
        assert [message for message in messages(framing, data) if name in message] == messages(framing, stream)


def messages(framing: str, data: bytes) -> list[bytes]:
    """The messages in whole frames."""
    if framing == "line":
        return data.split(b"\n")[:-1]
    found = []
    while data:
        (length,) = HEADER.unpack_from(data)
        found.append(data[HEADER.size : HEADER.size + length])
        data = data[HEADER.size + length :]
    return found


def test_two_raw_publishers_are_told_apart_by_reads() -> None:
    with (
        Relay("--framing", "raw") as relay,
        subscribers(relay) as [peer],
        connection(relay.publish_port) as one,
        connection(relay.publish_port) as other,
    ):
        for _ in range(20):
            send_apart(one, b"one")
            send_apart(other, b"two")
        assert receive(peer, 120) == b"onetwo" * 20
    relay.log.wait_for("publisher .* disconnected: .*, 20 messages, 60 bytes", 2)


@pytest.mark.parametrize("apart", [False, True])
def test_good_messages_after_a_bad_header_are_not_delivered(apart: bool) -> None:
    good, bad = [frame(b"good %d" % number) for number in range(1000)], pack("!I", 0xFFFFFFFF)
    parts = [b"".join(good), bad, b"".join(good) * 10]
    with (
        Relay() as relay,
        Healthy(relay),
        subscribers(relay) as [peer],
        connection(relay.publish_port) as after,
        connection(relay.publish_port) as publisher,
    ):
        try:
            for part in parts if apart else [b"".join(parts)]:
                publisher.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the relay was quicker
        assert receive_all(publisher) == b""
        after.sendall(frame(b"after"))
        expected = b"".join(good) + frame(b"after")
        assert receive_as("int32", peer, len(expected)) == expected
