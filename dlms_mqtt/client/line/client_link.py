"""The link layer that the settings ask for, from the client's side."""

from __future__ import annotations

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.framing.link import Link, Side
from dlms_mqtt.protocol.framing.wrapper import WrapperLink


def client_link(settings: ConnectionSettings, datagram: bool) -> Link:
    """HDLC or wrapper; ``datagram``: a frame never lies across two packets."""
    if settings.link_framing == "wrapper":
        return WrapperLink(Side.CLIENT, client=settings.client, server=settings.server, datagram=datagram)
    from dlms_mqtt.protocol.framing.hdlc.link import HdlcLink

    return HdlcLink(
        Side.CLIENT,
        client=settings.client,
        server=settings.server,
        physical=settings.physical,
        address_size=settings.address_size,
        max_info_transmit=settings.info_length,
        max_info_receive=settings.info_length,
        window_transmit=settings.window,
        window_receive=settings.window,
    )
