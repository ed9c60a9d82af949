"""Which link a configuration asks for."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.line.client_link import client_link
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink
from dlms_mqtt.protocol.framing.wrapper import WrapperLink


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"serial": "/dev/ttyUSB0"}, HdlcLink),
        ({"tcp": ("10.0.0.1", 4059)}, WrapperLink),
        ({"udp": ("10.0.0.1", 4059)}, WrapperLink),
        ({"tcp": ("10.0.0.1", 4059), "framing": "hdlc"}, HdlcLink),
        ({"serial": "/dev/ttyUSB0", "framing": "wrapper"}, WrapperLink),
    ],
)
def test_which(options: dict[str, Any], kind: type) -> None:
    link = client_link(ConnectionSettings(**options), datagram="udp" in options)
    assert type(link) is kind
    assert link.has_connection is link.numbered is (kind is HdlcLink)


@pytest.mark.parametrize(("physical", "octets"), [(17, "022361"), (None, "0361")])
def test_addresses_are_those_of_the_settings(physical: int | None, octets: str) -> None:
    """Logical device 1, client 48."""
    link = client_link(ConnectionSettings(serial="x", client=48, server=1, physical=physical), datagram=False)
    link.connect()
    assert link.data_to_send().hex()[6:].startswith(octets)
