"""Many peers that send the same bytes at the same moment, in a process of their own.

`python -m tests.kit.blast PORT COUNT TIMES STAYS SECONDS FILE` connects `COUNT` peers, has all of them send what `FILE`
holds `TIMES` times, once a second, and reads what they are answered: for `STAYS` seconds, for longer if not all were
answered, and for `SECONDS` at most; or until all were ended. It prints as JSON how many were answered, and after how
long the last of them was.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.kit.process import DEADLINE, start_program


@dataclass(frozen=True)
class Blasted:
    """What came of it."""

    answered: int
    """Peers that were sent something."""
    seconds: float
    """From the first byte sent until the last peer had its first answer."""


def blast(port: int, count: int, data: bytes, folder: Path, *, times: int = 1, stays: float = 0.0) -> Blasted:
    """Have `count` peers send `data`, `times` times, once a second. `folder`: where a file can be.

    `stays`: seconds after which the peers leave, if all were answered and they have not been ended before.
    """
    seconds = stays + DEADLINE
    file = folder / "blast"
    file.write_bytes(data)
    lines = start_program("tests.kit.blast", port, count, times, stays, seconds, file)
    assert lines.process.stdin is not None
    lines.process.stdin.close()
    assert lines.wait_for_end(seconds + 60) == 0, lines.text
    return Blasted(**json.loads(lines.text.splitlines()[-1]))


def main() -> None:
    port, count, times = map(int, sys.argv[1:4])
    stays, seconds, data = float(sys.argv[4]), float(sys.argv[5]), Path(sys.argv[6]).read_bytes()
    selector = selectors.DefaultSelector()
    peers = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for peer in peers:
        selector.register(peer, selectors.EVENT_READ)
    begun = last = time.monotonic()
    answered: set[int] = set()
    left, sent = len(peers), 0
    while (now := time.monotonic()) - begun < (stays if len(answered) == count else seconds) and left:
        if sent < times and now - begun >= sent:
            sent += 1
            for peer in peers:
                with suppress(OSError):
                    peer.sendall(data)
        for key, _ in selector.select(0.05):
            try:
                got = key.fileobj.recv(2**20)  # type: ignore[union-attr]  # it is a socket
            except OSError:
                got = b""
            if got and key.fd not in answered:
                answered.add(key.fd)
                last = time.monotonic()
            if not got:
                left -= 1
                selector.unregister(key.fileobj)
    print(json.dumps({"answered": len(answered), "seconds": last - begun}))


if __name__ == "__main__":
    main()
