"""The meter's end of each link, and UAs as odd meters send them."""

from __future__ import annotations

import pytest

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.framing.bare import BareLink
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkUp, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.links import MeterHdlcLink, make_link
from tests.fake_clock import FakeClock


@pytest.mark.parametrize(("framing", "kind"), [("hdlc", MeterHdlcLink), ("wrapper", WrapperLink), ("bare", BareLink)])
def test_which(framing: str, kind: type, clock: FakeClock) -> None:
    assert type(make_link(framing, household(clock=clock))) is kind


def test_there_is_no_other(clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="there is no framing 'slip'"):
        make_link("slip", household(clock=clock))


def _connected(odd: str, clock: FakeClock) -> tuple[str, LinkUp]:
    """The UA's information, and what our client makes of it."""
    meter = household(clock=clock)
    far = make_link("hdlc", meter, Faults([f"odd-ua:{odd}"] if odd else []))
    near = HdlcLink(Side.CLIENT, client=16, server=meter.server, physical=meter.physical)
    near.connect()
    far.receive(near.data_to_send())
    answer = far.data_to_send()
    near.receive(answer)
    event = next(found for found in iter(near.next_event, None) if isinstance(found, LinkUp))
    return answer.hex(), event


@pytest.mark.parametrize(
    ("odd", "group"),
    [
        ("empty", ""),
        ("short", "81800c05018006018007010108" + "0101"),
        ("long", "81801805040000008006040000008007040000000108" + "0400000001"),
        ("window-only", "8180060701010801" + "01"),
        ("reversed", "8180140804000000010704000000010602008005" + "020080"),
    ],
)
def test_an_odd_ua_says_the_same(odd: str, group: str, clock: FakeClock) -> None:
    sent, up = _connected(odd, clock)
    assert group in sent
    assert up.parameters == _connected("", clock)[1].parameters


def test_an_oddity_that_is_none(clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="there is no odd UA 'purple'"):
        _connected("purple", clock)
