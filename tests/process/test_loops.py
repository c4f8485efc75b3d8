"""Loops of relays: the one that hears of itself ends the connection with a line, and no message goes round."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.kit.fakes import frame
from tests.kit.peers import connection, receive, subscribers
from tests.kit.process import Relay, free_port, wait_until


@pytest.mark.parametrize("ways", ["push push", "pull push", "pull pull pull"])
def test_a_loop_ends_with_a_line_and_no_message_goes_round(ways: str) -> None:
    """Each relay of a ring is connected to the next, by a connection of the one or of the other."""
    kinds = ways.split()
    ports = [(free_port(), free_port()) for _ in kinds]
    options: list[list[str]] = [[] for _ in kinds]
    for number, kind in enumerate(kinds):
        following = (number + 1) % len(kinds)
        if kind == "pull":  # messages go from this one to the next
            options[following] += ["--pull", f"session:tcp:127.0.0.1:{ports[number][1]}"]
        else:
            options[number] += ["--push", f"session:tcp:127.0.0.1:{ports[following][0]}"]
    with ExitStack() as stack:
        relays = [
            stack.enter_context(Relay(*own, publish=f"tcp:{publish}", subscribe=f"tcp:{subscribe}"))
            for own, (publish, subscribe) in zip(options, ports, strict=True)
        ]
        wait_until(lambda: any(one.log.find("this would be a loop") for one in relays), "somebody finds the loop")
        time.sleep(0.5)
        [subscriber] = stack.enter_context(subscribers(relays[0]))
        subscriber.settimeout(1)
        with connection(relays[0].publish_port) as publisher:
            publisher.sendall(frame(b"once"))
            assert receive(subscriber, 8) == frame(b"once")
            with pytest.raises(TimeoutError):
                subscriber.recv(1)
        assert not [one for one in relays if one.log.find("Traceback")]


@pytest.mark.parametrize("option", ["--pull", "--push"])
def test_a_relay_that_is_connected_to_itself_ends_that_at_once(option: str) -> None:
    publish, subscribe = free_port(), free_port()
    port = subscribe if option == "--pull" else publish
    with Relay(option, f"tcp:127.0.0.1:{port}", publish=f"tcp:{publish}", subscribe=f"tcp:{subscribe}") as relay:
        relay.log.wait_for(f"{option[2:]} .* disconnected: loop.*it leads to this relay itself")
