"""What a meter pushes: its lists, notifications plain and ciphered, reports over an association that stands."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, CaptureObject
from dlms_mqtt.protocol.apdu.general import GeneralGloCiphering
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import (
    named,
    serve_memory,
)
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.push import ON_EVENT, SCHEDULED, notification, report, tell_clients
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.simulator.asker import Asker, O
from tests.simulator.bench import frozen_meter

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)


def test_a_push_list_must_be_one(asker: Asker) -> None:
    good = Data(DataType.ARRAY, (CaptureObject(1, O("0.0.42.0.0.255"), 2).to_data(),))
    bad = Data(DataType.ARRAY, (named("unsigned", 1),))
    assert asker.write(40, "0.0.25.9.0.255", 2, good) == 0
    assert asker.write(40, "0.0.25.9.0.255", 2, bad) == 250


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize(
    ("options", "kind"), [({}, EventNotification), ({"referencing": "sn"}, InformationReportRequest)]
)
async def test_reports_over_the_open_association(
    clock: FakeClock, framing: str, options: dict[str, Any], kind: type
) -> None:
    """They come while the client polls, and do not disturb it."""
    meter = household(clock=clock)
    received: list[Any] = []
    near, far = memory_pair()
    settings = ConnectionSettings(framing=framing, client=17, **options)
    async with (
        serve_memory(meter, far, framing),
        DlmsClient(settings, transport=near, on_notification=received.append) as client,
    ):
        octets = report(meter, ENERGY, short=bool(options))
        assert tell_clients(meter, octets) == 1
        value = (await client.get(ENERGY)).value
    assert [type(message) for message in received] == [kind]
    assert received[0].encode() == octets
    assert value > 1_000_000
    assert not meter.sessions


def test_a_notification_has_what_its_list_names() -> None:
    meter = frozen_meter()
    message = decode_apdu(notification(meter, number=5))
    assert isinstance(message, DataNotification)
    values = message.value.value
    assert (message.long_invoke, len(values), values[2].value) == (5, 9, meter.name.encode())
    untimed = decode_apdu(notification(meter, ON_EVENT, time=False))
    assert isinstance(untimed, DataNotification) and untimed.time is None
    assert len(untimed.value.value) == 5


def test_what_the_client_may_not_read_is_null_in_it() -> None:
    message = decode_apdu(notification(frozen_meter(), client=16))
    assert isinstance(message, DataNotification)
    assert {item.type for item in message.value.value[3:]} == {DataType.NULL_DATA}


def test_a_ciphered_one_needs_keys() -> None:
    meter = frozen_meter()
    sealed = decode_apdu(notification(meter, ciphered=True))
    assert isinstance(sealed, GeneralGloCiphering) and sealed.system_title == meter.title
    with pytest.raises(ValueError, match="client 17 has no keys"):
        notification(meter, client=17, ciphered=True)


def test_reports_of_one_attribute() -> None:
    meter, energy = frozen_meter(), AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
    whole, short = decode_apdu(report(meter, energy)), decode_apdu(report(meter, energy, short=True))
    assert isinstance(whole, EventNotification) and whole.attribute == energy
    assert isinstance(short, InformationReportRequest)
    assert (short.values, short.current_time) == ((whole.value,), b"20260105130000")
    assert tell_clients(meter, b"\xc2") == 0


def test_method_1_pushes_now(asker: Asker) -> None:
    requests: list[Obis] = []
    asker.meter.on_push.append(requests.append)
    assert asker.run(40, SCHEDULED, 1) == 0
    assert requests == [SCHEDULED]
