"""docs/mqtt.md, the page for other programs, says what the bridge does: verbs, codes, topics, seal, examples."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from dlms_mqtt.bridge.api import topics
from dlms_mqtt.bridge.api.errors import CODES
from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.bridge.requests import bridge_verbs, meter_verbs
from dlms_mqtt.bridge.requests.verbs import VERBS

PAGE = (Path(__file__).parents[2] / "docs/mqtt.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def table(head: str) -> str:
    """The rows of the table under that head."""
    return PAGE.partition(f"| {head} |")[2].partition("\n\n")[0]


def verbs_of(handlers: type) -> set[str]:
    """What the table of a class of handlers holds."""
    return set(re.findall(r'^            "([a-z/]+)": ', inspect.getsource(handlers.__init__), re.MULTILINE))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("head", "handlers"),
    [
        ("verb of a meter | fields", meter_verbs.MeterRequests),
        ("verb of the bridge | fields", bridge_verbs.BridgeRequests),
    ],
)
def test_every_verb_is_told(head: str, handlers: type) -> None:
    first_cells = "".join(line.split("|")[1] for line in table(head).splitlines() if line.startswith("|"))
    told = set(re.findall(r"`([a-z/]+)`", first_cells))
    assert told == verbs_of(handlers) | {"cancel"}
    assert len(told) > 10


def test_what_needs_management_is_marked() -> None:
    marked = {
        verb
        for line in table("verb of the bridge | fields").splitlines()
        if " * |" in line
        for verb in re.findall(r"`([a-z/]+)`", line.split("|")[1])
    }
    assert marked == {name for name, verb in VERBS.items() if verb.managing}


def test_every_verb_has_its_row() -> None:
    handled = verbs_of(bridge_verbs.BridgeRequests) | verbs_of(meter_verbs.MeterRequests) | {"cancel"}
    assert set(VERBS) == handled


def test_every_code_is_told() -> None:
    told = PAGE.partition("The code is one of")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z-]+)`", told)) == CODES


def test_every_topic_is_told() -> None:
    meter = topics.Topics("BASE", "<id>").meter("<id>")
    told = [meter.availability, meter.state, meter.reading, meter.event, meter.value("<key>"), meter.profile("<key>")]
    told += [meter.set("<key>"), meter.do("<action>"), meter.request("<verb>")]
    assert [topic for topic in told if f"`{topic}`" not in PAGE] == []


def test_the_seal_of_the_page() -> None:
    octets = iter([bytes(range(0x20, 0x40)), bytes(range(0x40, 0x4C))])
    public = "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8="  # of the private key 00 01 02 ... 1f
    sealed = seal("text:12345678", public, lambda _: next(octets), "house", {"tcp": "192.0.2.10:4059"})
    assert f"`{sealed}`" in PAGE


def test_the_examples_can_be_read() -> None:
    requests = [json.loads(line) for block in blocks("json") for line in block.splitlines()]
    assert {row.get("status") for row in requests} == {None, "ok", "progress", "error"}
    sent = [json.loads(payload) for payload in re.findall(r"-m '(.*)'", "".join(blocks("sh")))]
    assert len(sent) == 2
    assert all("id" in row for row in sent)
