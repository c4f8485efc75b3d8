"""What keeps this machine from listening on an endpoint, found out without listening: for `--check`.

It does not matter whether somebody has the port at the moment: it may well be the relay that is to be replaced.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing
from errno import EADDRINUSE

from twisted.internet.endpoints import _parse
from twisted.internet.error import CannotListenError

from relay.config.config import Config
from relay.net.unavailable import why

FAMILIES = {"tcp": socket.AF_INET, "ssl": socket.AF_INET, "tcp6": socket.AF_INET6}


def obstacles(config: Config) -> list[str]:
    """A line for each endpoint of `config` on which this machine cannot listen."""
    by_option = {
        "publish": config.publish,
        "publish-tls": config.publish_tls,
        "subscribe": config.subscribe,
        "subscribe-tls": config.subscribe_tls,
        "web": config.web,
    }
    return [
        f"{option}: {endpoint}: {obstacle}"
        for option, endpoints in by_option.items()
        for endpoint in endpoints
        if (obstacle := _obstacle(endpoint))
    ]


def _obstacle(endpoint: str) -> str:
    """What keeps this machine from listening there; empty for nothing, and where that cannot be found out."""
    words, named = _parse(endpoint.removeprefix("haproxy:"))
    kind, *words = words
    if kind == "unix":
        return _cannot_make(str(named.get("address") or words[0]))
    if kind not in FAMILIES:
        return ""
    port = str(named.get("port") or words[0])
    interface = named.get("interface", "")
    with closing(socket.socket(FAMILIES[kind])) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        try:
            probe.bind((interface, int(port)))
        except OSError as error:
            return "" if error.errno == EADDRINUSE else why(CannotListenError(interface, int(port), error), ())
    return ""


def _cannot_make(file: str) -> str:
    """Why a Unix socket cannot be made there; empty if it can."""
    folder = os.path.dirname(os.path.abspath(file))
    if not os.path.isdir(folder):
        return f"{folder}: there is no such folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder}: no file can be made there"
    return ""
