"""Many peers at once, in processes of their own, so that they are in nobody's way but the relay's.

`Crowd` holds connections, and reads and counts what arrives there without copying it. `Flood` publishes as fast as the
relay reads. `Churn` connects and disconnects so many times a second. All end when the test says so, and print what
they saw as JSON.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

import pytest

from tests.kit.fakes import frame
from tests.kit.healthy import Healthy, descriptors
from tests.kit.process import Lines, Relay, start_program, wait_until
from tests.kit.resets import end_with_reset

BLOCK = b"".join(frame(b"%05d" % number + b"f" * 1011) for number in range(64))
"""What a flood repeats: 64 messages, 64 KiB + 256 bytes."""
MOST = 8 * 2**30
"""Bytes after which a flood ends by itself."""
IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: ip(7). The port is chosen when the connection is made, so that ports are not used up without need."""


def needs_descriptors(count: int) -> None:
    """Skip where no process may have so many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"needs {count:,} open files in a process, and the hard limit (ulimit -Hn) is {hard:,}")


def wait_for_descriptors(relay: Relay, most: int) -> None:
    """Wait until the relay has no more than so many.

    It learns from what it sends that subscribers are gone which closed both halves of their connections, so it is
    given messages meanwhile.
    """
    what = f"{most} descriptors"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", relay.publish_port)) as publisher:

            def returned(publisher: socket.socket = publisher) -> bool:
                publisher.sendall(frame(b""))
                return descriptors(relay.pid) <= most + 1  # this publisher's is one of them, once it was accepted

            wait_until(returned, what)
        with suppress(AssertionError):  # it was not: another subscriber is left, and has to be told of another message
            wait_until(lambda: descriptors(relay.pid) <= most, what, timeout=2.0)
            return
    raise AssertionError(f"not after 5 attempts: {what}")


class Beside(Healthy):
    """The healthy pair, on a relay whose descriptors may be held by peers that it does not know to be gone."""

    def check_process(self) -> None:
        wait_for_descriptors(self._relay, self._descriptors)
        super().check_process()


class _Peers:
    """A process that runs beside the relay until `leave`."""

    def __init__(self, *arguments: object) -> None:
        self._arguments = arguments
        self.lines: Lines

    def begin(self) -> None:
        self.lines = start_program("tests.kit.crowd", *self._arguments)

    def leave(self) -> dict[str, Any]:  # Any: numbers of several kinds
        """End all connections; returns what was seen."""
        assert self.lines.process.stdin is not None
        self.lines.process.stdin.close()
        assert self.lines.wait_for_end() == 0, self.lines.text
        found: dict[str, Any] = json.loads(self.lines.text.splitlines()[-1])
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lines.process.kill()
        self.lines.wait_for_end()
        assert self.lines.process.stdin is not None
        self.lines.process.stdin.close()


class Crowd(_Peers):
    """`with Crowd(port, 1000) as crowd:` holds so many connections; inside, all are made."""

    def __init__(self, port: int, count: int, *, source: str = "127.0.0.1", reads: bool = True) -> None:
        """`source` is the address that they come from; if it does not read, what arrives stays in the kernel."""
        super().__init__("hold", port, count, source, int(reads))

    def __enter__(self) -> Crowd:
        self.begin()
        self.lines.wait_for("^ready$")
        return self


class Flood(_Peers):
    """`with Flood(port) as flood:` publishes `BLOCK` again and again; `leave` returns after a whole one."""

    def __init__(self, port: int) -> None:
        super().__init__("flood", port)

    def __enter__(self) -> Flood:
        self.begin()
        self.lines.wait_for("^ready$")
        return self


class Churn(_Peers):
    """`Churn(port, a_second, seconds).run()`: connections that end at once, with a FIN and with a reset in turn.

    With `says`, each sends an empty message, and all end with a FIN.
    """

    def __init__(self, port: int, a_second: int, seconds: float, says: bool = False) -> None:
        super().__init__("churn", port, a_second, seconds, says)

    def run(self) -> dict[str, Any]:  # Any: as above
        """Returns how many there were, and how many seconds it took."""
        self.begin()
        try:
            self.lines.wait_for("^ready$", timeout=60)
            return self.leave()
        finally:
            self.__exit__(None, None, None)


def _hold(port: int, count: int, source: str, reads: bool) -> dict[str, Any]:
    poll = select.epoll()
    poll.register(0, select.EPOLLIN)
    peers: dict[int, socket.socket] = {}
    for _ in range(count):
        peer = socket.socket()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        peer.bind((source, 0))
        peer.connect_ex(("127.0.0.1", port))
        peers[peer.fileno()] = peer
        poll.register(peer, select.EPOLLOUT)
    print("begun", flush=True)
    connecting, ended = set(peers), 0
    received = dict.fromkeys(peers, 0)
    scrap = bytearray(2**20)
    while True:
        for number, _ in poll.poll():
            if number == 0:
                for peer in peers.values():
                    peer.close()
                sizes = sorted(received.values())
                return {"ended": ended, "least": sizes[0], "most": sizes[-1], "connected": count - len(connecting)}
            if number in connecting:
                error = peers[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "cannot connect")
                connecting.remove(number)
                poll.modify(number, select.EPOLLIN if reads else 0)
                if not connecting:
                    print("ready", flush=True)
                continue
            try:
                size = peers[number].recv_into(scrap, len(scrap), socket.MSG_TRUNC)  # tcp(7): it is not copied
            except ConnectionResetError:
                size = 0
            received[number] += size
            if not size:
                ended += 1
                poll.unregister(number)


def _flood(port: int) -> dict[str, Any]:
    publisher = socket.create_connection(("127.0.0.1", port))
    sent = 0
    print("ready", flush=True)
    try:
        while sent < MOST and not select.select([0], [], [], 0)[0]:
            publisher.sendall(BLOCK)
            sent += len(BLOCK)
    except OSError:
        return {"sent": sent, "cut": True}
    publisher.shutdown(socket.SHUT_WR)
    publisher.recv(1)  # the relay has read all
    return {"sent": sent, "cut": False}


def _churn(port: int, a_second: int, seconds: float, says: bool) -> dict[str, Any]:
    begin = time.monotonic()
    done = 0
    while (passed := time.monotonic() - begin) < seconds:
        while done < passed * a_second:
            with socket.create_connection(("127.0.0.1", port)) as peer:
                if says:
                    peer.sendall(bytes(4))
                elif done % 2:
                    end_with_reset(peer)
            done += 1
        time.sleep(0.001)
    print("ready", flush=True)
    sys.stdin.read()
    return {"done": done, "seconds": passed}


def main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    mode, port, *more = sys.argv[1:]
    if mode == "hold":
        found = _hold(int(port), int(more[0]), more[1], bool(int(more[2])))
    elif mode == "flood":
        found = _flood(int(port))
    else:
        found = _churn(int(port), int(more[0]), float(more[1]), more[2] == "True")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
