"""Which hosts the web port answers for.

A web page at `http://evil.example:8003/` can have its name resolve to 127.0.0.1 once it is loaded (DNS rebinding). The
browser then takes the relay for the server that the page came from, and lets the page read everything. But it still
says `Host: evil.example`. So a web port that asks for no token answers only under names that nobody else can own: IP
addresses, `localhost`, and those that `--web-host` gives it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from relay.net.addresses import is_ip_address
from relay.web.request import Request, Response, line
from relay.wire.printable import escaped


def misdirected(request: Request, named: Collection[str]) -> Response | None:
    """The refusal of a request for a host that is not the relay's; None if it is one of `named`, or safe."""
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:]*))(?::[0-9]{1,5})?", request.header("Host"))
    host = (found[1] or found[2] or "").lower().rstrip(".") if found else ""
    if not request.hosts or host == "localhost" or host in named or is_ip_address(host):
        return None
    asked = escaped(request.header("Host"))[:200]
    return line(421, f"this web port is not for the host {asked!r}: --web-host would name it")


def without_host(request: Request) -> Response | None:
    """The refusal of a request that does not say for which host it is (RFC 9112, section 3.2); None if it does."""
    if request.hosts == 1 or (not request.hosts and request.version == "HTTP/1.0"):
        return None
    return line(400, "a request has one header Host")
