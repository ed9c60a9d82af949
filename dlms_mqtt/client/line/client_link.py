"""The link layer that the settings ask for, from the client's side."""

from __future__ import annotations

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.framing.link import Link, LinkOptions, Side
from dlms_mqtt.protocol.framing.registry import link_class


def client_link(settings: ConnectionSettings, datagram: bool) -> Link:
    """The link of the framing in force; ``datagram``: a frame never lies across two packets."""
    options = LinkOptions(
        client=settings.client,
        server=settings.server,
        physical=settings.physical,
        address_size=settings.address_size,
        max_info_transmit=settings.info_length,
        max_info_receive=settings.info_length,
        window_transmit=settings.window,
        window_receive=settings.window,
        datagram=datagram,
    )
    return link_class(settings.link_framing).make(Side.CLIENT, options)
