"""The objects of the current association, as each client sees them, decoded by the client's own code."""

from __future__ import annotations

import pytest

from dlms_mqtt.cosem.object_list import decode_object_list, decode_object_list_sn
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.axdr.data import decode_whole
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, Meter
from tests.simulator.bench import frozen_meter

LN, SN = (15, Obis.parse("0.0.40.0.0.255")), (12, Obis.parse("0.0.40.0.0.255"))


@pytest.fixture
def meter() -> Meter:
    return frozen_meter()


def test_each_client_sees_the_objects_that_it_may(meter: Meter) -> None:
    public, manager = (Context(meter, meter.associations[number]) for number in (16, 17))
    few = decode_object_list(meter.objects[LN].encoded(public, 2))
    many = decode_object_list(meter.objects[LN].encoded(manager, 2))
    assert 3 < len(few) < len(many)
    assert {(item.class_id, item.obis) for item in few} == set(public.view)
    assert {(item.class_id, item.obis) for item in many} == set(manager.view)


def test_the_list_of_short_names_and_its_rights(meter: Meter) -> None:
    context = Context(meter, meter.associations[17], "sn")
    found = decode_object_list_sn(meter.objects[SN].encoded(context, 2))
    assert {item.short_name: item.obis for item in found} == {
        item.short_name: item.obis for item in meter.objects.values() if (item.class_id, item.obis) in context.view
    }
    rights = decode_whole(meter.objects[SN].encoded(context, 3)).value
    assert [row.value[0].value & 0xFFFF for row in rights] == [item.short_name for item in found]


@pytest.mark.parametrize(
    ("client", "referencing", "context", "mechanism"),
    [(16, "ln", 1, Mechanism.NONE), (17, "sn", 2, Mechanism.NONE), (1, "ln", 3, Mechanism.HLS_GMAC), (1, "sn", 4, 5)],
)
def test_names_are_those_of_who_asks(meter: Meter, client: int, referencing: str, context: int, mechanism: int) -> None:
    asking, item = Context(meter, meter.associations[client], referencing), meter.objects[LN]
    assert [part.value for part in item.data(asking, 3).value] == [client, 1]
    assert item.data(asking, 4).value.hex() == f"608574050801{context:02x}"
    assert item.data(asking, 6).value.hex() == f"608574050802{mechanism:02x}"


def test_services_and_sizes(meter: Meter) -> None:
    row = meter.associations[17]
    services, receive, send, version, *_ = meter.objects[LN].data(Context(meter, row), 5).value
    assert services.value == f"{int(row.ln_services):024b}"
    assert (receive.value, send.value, version.value) == (row.max_pdu, row.max_pdu, 6)
