"""docs/protocol.md: its worked examples are the bytes that they say, its tables name every key, its limits are real."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields

import pytest

from relay.wire import control, hello
from relay.wire.answer import (
    Ack,
    Answer,
    Bye,
    Error,
    Gap,
    Heartbeat,
    PublisherWelcome,
    SubscriberWelcome,
    Via,
    read_answer,
)
from relay.wire.control import BadControl
from relay.wire.counted import HEADER, Int32
from relay.wire.hello import Hello, PublisherHello, SubscriberHello, read_hello
from relay.wire.position import Position
from tests.kit.page import ROOT, table

PAGE = (ROOT / "docs" / "protocol.md").read_text()
LIMIT = 99_999


@dataclass(frozen=True)
class Step:
    """What is sent at one moment of a worked example."""

    up: bool
    """Whether it goes to the relay."""
    caption: str
    data: bytes

    @property
    def value(self) -> Hello | Answer | bytes:
        """What the bytes are to the relay's own code: a hello, an answer or a message."""
        (header,) = HEADER.unpack_from(self.data)
        if not control.is_control(header):
            [whole] = Int32(LIMIT).receive(self.data)
            assert (whole.data, whole.messages) == (self.data, 1)
            return self.data[HEADER.size :]
        body = self.data[HEADER.size :]
        assert self.data == control.frame(body)
        found = read_hello(body) if self.up else read_answer(body)
        assert found is not None and found.write() == body
        return found


def steps(block: str) -> list[Step]:
    found = re.findall(r"^(->|<-) (.*)\n((?:   [0-9a-f ]+\n)+)", block, re.MULTILINE)
    assert len(found) == len(re.findall("^(?:->|<-)", block, re.MULTILINE))
    return [Step(way == "->", caption, bytes.fromhex(digits)) for way, caption, digits in found]


def chapter(title: str) -> str:
    """What stands under a heading of the third rank."""
    [found] = re.findall(rf"^### {re.escape(title)}\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


[SUBSCRIBER, PUBLISHER] = [steps(b) for b in re.findall(r"```\n(.*?)```", chapter("Worked examples"), re.DOTALL)]


@pytest.mark.parametrize("step", [*SUBSCRIBER, *PUBLISHER], ids=lambda step: step.caption)
def test_the_bytes_of_a_step_are_what_stands_above_them(step: Step) -> None:
    if step.caption.startswith("{"):
        assert json.loads(step.caption) == json.loads(step.data[HEADER.size :])
        assert not isinstance(step.value, bytes)
    else:
        said = re.search('^message .*"(.*)"$', step.caption)
        assert said is not None
        assert step.value == said[1].encode()


def test_the_subscriber_of_the_example_counts_as_the_page_says() -> None:
    opening, early, welcome, *rest = [step.value for step in SUBSCRIBER]
    assert isinstance(opening, SubscriberHello) and opening.after is not None
    assert isinstance(early, bytes)
    assert isinstance(welcome, SubscriberWelcome)
    assert (welcome.next.number, welcome.lost) == (opening.after.number + 1, 0)
    number = welcome.next.number
    kinds = []
    for step, value in zip(SUBSCRIBER[3:], rest, strict=True):
        kinds.append(type(value))
        if isinstance(value, bytes):
            assert step.caption.startswith(f"message {number}:")
            number += 1
        else:
            assert isinstance(value, Heartbeat | Gap | Bye)
            number += value.lost if isinstance(value, Gap) else 0
            assert value.next == Position(welcome.next.epoch, number)
    assert kinds == [bytes, bytes, Heartbeat, Gap, Bye]


def test_the_publisher_of_the_example_counts_as_the_page_says() -> None:
    opening, welcome, first, second, ack = [step.value for step in PUBLISHER]
    assert isinstance(opening, PublisherHello) and opening.name
    assert isinstance(welcome, PublisherWelcome) and welcome.known
    assert isinstance(first, bytes) and isinstance(second, bytes)
    assert [step.caption[:12] for step in PUBLISHER[2:4]] == [f"message {welcome.accepted + more}" for more in (1, 2)]
    assert ack == Ack(welcome.accepted + 2)


@pytest.mark.parametrize(
    ("title", "kind"), [("A subscriber's hello", SubscriberHello), ("A publisher's hello", PublisherHello)], ids=str
)
def test_a_hello_has_the_keys_of_its_table(title: str, kind: type[Hello]) -> None:
    rows = {row[0].strip("`"): row for row in table(chapter(title), "key")}
    assert set(rows) == {"relay", "type"} | {field.name for field in fields(kind)}
    [shown] = re.findall("```\n(.*)\n```", chapter(title))
    assert isinstance(read_hello(shown.encode()), kind)


@pytest.mark.parametrize(
    ("title", "kind"),
    [("What a subscriber is sent", SubscriberWelcome), ("What a publisher is sent", PublisherWelcome)],
    ids=str,
)
def test_a_welcome_has_the_keys_of_its_table(title: str, kind: type[Answer]) -> None:
    rows = [row[0].strip("`") for row in table(chapter(title).partition("| type |")[0], "key")]
    assert rows == [field.name for field in fields(kind)]
    [shown] = re.findall('```\n({"type": "welcome".*)\n```', chapter(title))
    assert isinstance(read_answer(shown.encode()), kind)


@pytest.mark.parametrize("title", ["What a subscriber is sent", "What a publisher is sent"])
def test_the_tables_of_answers_have_every_type_and_its_keys(title: str) -> None:
    there = Position("5289cfdd2847", 3)
    said: list[Answer]
    if title == "What a subscriber is sent":
        said = [
            Heartbeat(next=there),
            Gap(1, there),
            Via(("abc",)),
            Bye("shutdown", there, retry=1.0),
            Error("no"),
        ]
    else:
        said = [Ack(3), Heartbeat(accepted=3), Bye("shutdown", accepted=3, retry=1.0), Error("no")]
    written = {str(values.pop("type")): set(values) for values in (json.loads(each.write()) for each in said)}
    rows = table(chapter(title), "type")
    assert {row[0].strip("`"): set(re.findall(r"`(\w+)`:", row[1])) for row in rows} == written


def refused(**values: object) -> bool:
    try:
        read_hello(control.write({"relay": 1, "type": "subscribe", **values}))
    except BadControl:
        return True
    return False


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    assert f"`n` at most {control.MAX_CONTROL:,}" in PAGE
    assert f"A header above `{control.CONTROL + control.MAX_CONTROL:#x}`" in PAGE
    assert chapter("A subscriber's hello").count(f"at most {hello.MAX_NAME} printable characters") == 1
    assert chapter("A publisher's hello").count(f"at most {hello.MAX_NAME} printable characters") == 1
    assert not refused(name="x" * hello.MAX_NAME) and refused(name="x" * (hello.MAX_NAME + 1)) and refused(name="\n")
    assert PAGE.count(f"seconds from {hello.MIN_HEARTBEAT} to {hello.MAX_HEARTBEAT:,}, or 0") == 2
    assert not refused(heartbeat=0) and not refused(heartbeat=1.5) and refused(heartbeat=0.5)
    assert not refused(heartbeat=3600) and refused(heartbeat=3601)
    assert hello.MAX_NUMBER == 10**18 and "from 0 to 10^18 - 1, without" in PAGE and "seconds below 10^18" in PAGE
    assert not refused(replay=10**18 - 1) and refused(replay=10**18) and refused(replay=1.0)
    assert not refused(after=f"{'a' * 32}-0") and refused(after=f"{'a' * 33}-0") and refused(after="a-01")
    assert refused(after="A-1") and refused(after="a-1", replay=1)
    assert not refused(after=None, replay=None, since=None, heartbeat=None, name=None)
    assert not refused(since=0.5) and not refused(since="2026-11-25T08:30:00Z") and refused(since="2026-11-25T08:30:00")
    assert refused(relay=2) and refused(relay=1.0) and refused(type="listen") and not refused(colour="green")
    assert f"at most {hello.MAX_VIA} ids in a `via`" in chapter("Loops")
    assert not refused(via=["a" * 32] * hello.MAX_VIA) and refused(via=["a"] * (hello.MAX_VIA + 1))
    assert refused(via=["a" * 33]) and refused(via=["x"]) and refused(via="a") and refused(via=[1])
    assert read_answer(b'{"type":"weather"}') is None
