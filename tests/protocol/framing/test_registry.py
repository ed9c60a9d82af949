"""The framings by name: each has its link, is recognised in streams, and stands in the types of the library."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.library.connection import Connection
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.link import LinkOptions, Side
from dlms_mqtt.protocol.framing.registry import FRAMINGS, default_framing, link_class
from dlms_mqtt.protocol.framing.stream.recognisers import RECOGNISERS
from dlms_mqtt.protocol.framing.wrapper import WrapperLink


def test_which() -> None:
    assert (link_class("hdlc"), link_class("wrapper")) == (HdlcLink, WrapperLink)


def test_there_is_no_other() -> None:
    with pytest.raises(ConfigError, match="there is no framing 'slip'") as caught:
        link_class("slip")
    assert caught.value.hint == "There is hdlc, wrapper."


def test_where_nobody_says_it() -> None:
    assert (default_framing(serial=True), default_framing(serial=False)) == ("hdlc", "wrapper")


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("side", Side)
def test_each_is_made_of_the_same_options(framing: str, side: Side) -> None:
    link = link_class(framing).make(side, LinkOptions(client=48, server=17))
    assert type(link) is link_class(framing)
    assert (link.frame_parser() is not None) is link.numbered


def test_each_is_recognised_and_typed() -> None:
    words = {word for part in get_args(get_type_hints(Connection)["framing"]) for word in get_args(part)}
    assert words == set(FRAMINGS) <= set(RECOGNISERS)
