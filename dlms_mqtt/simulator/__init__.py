"""A meter that speaks the same protocol in the server role, for tests, the demo and trying things out.

``household(seed)`` makes a meter; ``serve_tcp``, ``serve_udp``, ``serve_memory`` and ``serve_transport`` put it on a
line; ``MeterServer`` is one client's session without I/O. ``Faults`` makes it misbehave on command.
"""

from __future__ import annotations

from dlms_mqtt.simulator.household.clients import HLS_SECRET, KEYS, KEYS_256, PASSWORD, household_associations
from dlms_mqtt.simulator.household.household import bare_meter, household
from dlms_mqtt.simulator.lines.network import TcpServer, serve_tcp, serve_udp
from dlms_mqtt.simulator.lines.serial import SignOnOptions, serve_memory, serve_pty, serve_rfc2217, serve_transport
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.faults import FAULTS, Fault, Faults
from dlms_mqtt.simulator.server.links import FRAMINGS, make_link
from dlms_mqtt.simulator.server.meter import Event, Meter
from dlms_mqtt.simulator.server.objects import MANAGER, PUBLIC, READER, Context, CosemObject, Outcome, make, named
from dlms_mqtt.simulator.server.session import Dropped, MeterServer

__all__ = [
    "FAULTS",
    "FRAMINGS",
    "HLS_SECRET",
    "KEYS",
    "KEYS_256",
    "MANAGER",
    "PASSWORD",
    "PUBLIC",
    "READER",
    "Association",
    "Context",
    "CosemObject",
    "Dropped",
    "Event",
    "Fault",
    "Faults",
    "Meter",
    "MeterServer",
    "Outcome",
    "SignOnOptions",
    "TcpServer",
    "bare_meter",
    "household",
    "household_associations",
    "make",
    "make_link",
    "named",
    "serve_memory",
    "serve_pty",
    "serve_rfc2217",
    "serve_tcp",
    "serve_transport",
    "serve_udp",
]
