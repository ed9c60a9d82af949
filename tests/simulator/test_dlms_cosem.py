"""dlms-cosem as a client of our meter: all it has is logical names; none, low, AES (mechanism 2) and GMAC; general-glo.

Its known faults decide what is asked of it, and are named where they do: it proposes general block transfer and ACCESS
without having them, cannot read an RLRE with user-information, looks for the end of an HDLC frame by 7E and so waits
for ever where a check sequence ends with it (mended here: a frame is as long as it says), and has no access by entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.simulator import HLS_SECRET, KEYS, KEYS_256, PASSWORD
from tests.simulator.bench import TITLE, frozen_meter, running
from tests.simulator.reference import value_of

pytest.importorskip("dlms_cosem")
from dlms_cosem import cosem, dlms_data, enumerations, security, utils
from dlms_cosem.client import DlmsClient
from dlms_cosem.connection import DlmsConnectionSettings
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.hdlc.connection import HdlcConnection
from dlms_cosem.io import BlockingTcpIO, HdlcTransport, TcpTransport
from dlms_cosem.parsers import AssociationObjectListParser, ProfileGenericBufferParser

I = enumerations.CosemInterface  # noqa: E741
COUNTER = iter(range(5_000_000, 9_000_000, 1000))
_NOT_ITS = Conformance.GENERAL_BLOCK_TRANSFER | Conformance.ACCESS

CLIENTS: dict[str, tuple[int, Any, Any, int]] = {
    "none": (17, security.NoSecurityAuthentication(), None, 0),
    "low": (33, security.LowLevelSecurityAuthentication(b"87654321"), None, 0),
    "hls2": (34, security.HighLevelSecurityCommonAuthentication(bytes(HLS_SECRET)), None, 0),
    "gmac": (1, security.HighLevelSecurityGmacAuthentication(challenge_length=16), KEYS, 0),
    "gmac suite 1": (41, security.HighLevelSecurityGmacAuthentication(), KEYS, 1),
    "gmac suite 2": (42, security.HighLevelSecurityGmacAuthentication(), KEYS_256, 2),
    "ciphered low": (40, security.LowLevelSecurityAuthentication(bytes(PASSWORD)), KEYS, 0),
}


@pytest.fixture(scope="module")
def meter() -> Any:
    found = frozen_meter()
    found.associate(*[replace(row, ln_services=row.ln_services & ~_NOT_ITS) for row in found.associations.values()])
    return found


@pytest.fixture(scope="module")
def ports(meter: Any) -> Iterator[dict[str, int]]:
    with running(meter) as wrapper, running(meter, "hdlc") as hdlc:
        yield {"wrapper": wrapper, "hdlc": hdlc}


class WholeFrames(BlockingTcpIO):  # type: ignore[misc]
    """Reads a frame by its length field instead of until the next 7E."""

    def recv_until(self, end: bytes) -> bytes:
        head = self.recv(3)
        return bytes(head + self.recv(frame_size(head) - len(head)))


class WholeFrameConnection(HdlcConnection):  # type: ignore[misc]
    def _find_frame(self) -> Any:
        self.buffer_search_position = frame_size(self.buffer)
        return self.buffer[: self.buffer_search_position] or None


def frame_size(head: bytes) -> int:
    """Octets from flag to flag."""
    return (int.from_bytes(head[1:3], "big") & 0x7FF) + 2


def line_of(ports: dict[str, int], link: str, number: int) -> Any:
    addresses = {"client_logical_address": number, "server_logical_address": 1}
    place = {"host": "127.0.0.1", "port": ports[link], "timeout": 60}
    if link != "hdlc":
        return TcpTransport(io=BlockingTcpIO(**place), **addresses)
    transport = HdlcTransport(io=WholeFrames(**place), **addresses)
    transport.hdlc_connection = WholeFrameConnection(transport.server_hdlc_address, transport.client_hdlc_address)
    return transport


def client(ports: dict[str, int], link: str, name: str, **options: Any) -> Any:
    number, authentication, keys, suite = CLIENTS[name]
    transport = line_of(ports, link, number)
    if keys is not None:
        options |= {
            "encryption_key": bytes(keys.encryption),
            "authentication_key": bytes(keys.authentication),
            "client_system_title": TITLE,
            "client_initial_invocation_counter": next(COUNTER),
            "security_suite": suite,
            "connection_settings": DlmsConnectionSettings(use_rlrq_rlre=False),
        }
    return DlmsClient(transport=transport, authentication=authentication, **options)


def attribute(interface: Any, obis: str, number: int = 2) -> Any:
    return cosem.CosemAttribute(interface, cosem.Obis(*map(int, obis.split("."))), number)


def get(connected: Any, interface: Any, obis: str, number: int = 2) -> Any:
    return utils.parse_as_dlms_data(connected.get(attribute(interface, obis, number)))


@pytest.mark.parametrize("name", CLIENTS)
def test_reads(meter: Any, ports: dict[str, int], name: str) -> None:
    with client(ports, "wrapper", name).session() as connected:
        view = AssociationObjectListParser.parse_bytes(connected.get(attribute(I.ASSOCIATION_LN, "0.0.40.0.0.255")))
        assert len(view) == len(meter.objects) - 1
        assert get(connected, I.REGISTER, "1.0.1.8.0.255") == value_of(meter, 3, "1.0.1.8.0.255")
        assert get(connected, I.REGISTER, "1.0.1.8.0.255", 3) == [0, 30]
        assert get(connected, I.CLOCK, "0.0.1.0.0.255") == bytes(value_of(meter, 8, "0.0.1.0.0.255"))
        assert len(rows(connected, None)) == 90
        assert [row[0].value.date().day for row in rows(connected, last_days(meter))] == [3, 4, 5]


def rows(connected: Any, access: Any) -> Any:
    columns = [item.cosem_attribute for item in COLUMNS]
    buffer = connected.get(attribute(I.PROFILE_GENERIC, "1.0.99.2.0.255"), access_descriptor=access)
    return ProfileGenericBufferParser(columns, 60 * 24).parse_bytes(buffer)


CLOCK = CaptureObject(attribute(I.CLOCK, "0.0.1.0.0.255"))
COLUMNS = [
    CLOCK,
    CaptureObject(attribute(I.DATA, "0.0.96.10.1.255")),
    *[CaptureObject(attribute(I.REGISTER, f"1.0.{code}.255")) for code in ("1.8.0", "1.8.1", "1.8.2", "2.8.0")],
]


def last_days(meter: Any) -> Any:
    end = datetime.fromtimestamp(meter.clock.time(), UTC)
    return RangeDescriptor(CLOCK, end - timedelta(days=2, hours=13), end)


@pytest.mark.parametrize("name", ["none", "low", "hls2", "gmac"])
def test_over_hdlc(meter: Any, ports: dict[str, int], name: str) -> None:
    with client(ports, "hdlc", name).session() as connected:
        assert get(connected, I.REGISTER, "1.0.1.8.0.255", 3) == [0, 30]
        assert get(connected, I.DATA, "0.0.42.0.0.255") == meter.name.encode()


@pytest.mark.parametrize("name", ["low", "hls2", "gmac"])
def test_writes_lists_methods(meter: Any, ports: dict[str, int], name: str) -> None:
    with client(ports, "wrapper", name).session() as connected:
        text = dlms_data.OctetStringData(b"from dlms-cosem").to_bytes()
        answer = connected.set(attribute(I.DATA, "0.0.96.13.0.255"), text)
        assert answer.result == enumerations.DataAccessResult.SUCCESS
        assert get(connected, I.DATA, "0.0.96.13.0.255") == b"from dlms-cosem"
        wrong = connected.set(attribute(I.DATA, "1.0.0.4.2.255"), text)
        assert wrong.result == enumerations.DataAccessResult.TYPE_UNMATCHED
        wanted = [attribute(I.REGISTER, "1.0.1.8.0.255", number) for number in (2, 3)]
        answer = connected.get_many([cosem.CosemAttributeWithSelection(item, None) for item in wanted])
        assert len(answer.response_data.data if hasattr(answer.response_data, "data") else answer.response_data)
        switch = cosem.CosemMethod(I.DISCONNECT_CONTROL, cosem.Obis(0, 0, 96, 3, 10, 255), 1)
        connected.action(switch, dlms_data.IntegerData(0).to_bytes())
        assert get(connected, I.DISCONNECT_CONTROL, "0.0.96.3.10.255") is False
        connected.action(replace_method(switch, 2), dlms_data.IntegerData(0).to_bytes())
        assert get(connected, I.DISCONNECT_CONTROL, "0.0.96.3.10.255") is True


def replace_method(method: Any, number: int) -> Any:
    return cosem.CosemMethod(method.interface, method.instance, number)


def test_blocks(meter: Any, ports: dict[str, int]) -> None:
    with client(ports, "wrapper", "gmac", max_pdu_size=128).session() as connected:
        view = AssociationObjectListParser.parse_bytes(connected.get(attribute(I.ASSOCIATION_LN, "0.0.40.0.0.255")))
        assert len(view) == len(meter.objects) - 1


def test_a_wrong_password_is_refused(ports: dict[str, int]) -> None:
    from dlms_cosem.exceptions import DlmsClientException

    connected = client(ports, "wrapper", "low")
    connected.dlms_connection.authentication = security.LowLevelSecurityAuthentication(b"wrong")
    connected.connect()
    with pytest.raises(DlmsClientException):
        connected.associate()
    connected.disconnect()
