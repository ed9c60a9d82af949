"""`request/read` answers in the units of the topics; what the meter said stands beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from dlms_mqtt.bridge.config.sections.meter import METER
from dlms_mqtt.bridge.reading.interpret import Moment
from dlms_mqtt.bridge.reading.plan import make_plan
from dlms_mqtt.bridge.requests.topic_units import in_topic_unit
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.meter.json_shapes import value_json
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import METER as HOUSE
from tests.bridge.house import house

NOW = Moment(datetime(2026, 11, 29, tzinfo=UTC), UTC)


def _row(obis, number, scaler_unit, also=None):
    measured = Measured(
        AttributeDescriptor(3, Obis.parse(obis), 2), Data(DataType.DOUBLE_LONG_UNSIGNED, number), scaler_unit
    )
    item = None
    if also is not None:
        config = METER.convert({"connection": {"tcp": "h:1"}, "read": [{"obis": obis, "class": 3, **also}]})
        (item,) = make_plan(config, (), UTC).items
    row = in_topic_unit(value_json(measured, NOW.time), measured, item, NOW)
    return row["value"], row["unit"], row["raw"], row["scaler"], row["raw_unit"]


def test_by_the_catalogue():
    assert _row("1.0.1.8.0.255", 1234567, ScalerUnit(0, 30)) == (Decimal("1234.567"), "kWh", 1234567, 0, "Wh")
    assert _row("1.0.1.7.0.255", 250, ScalerUnit(1, 27)) == (2500, "W", 250, 1, "W")
    assert _row("1.0.1.7.0.255", 250, None) == (250, None, 250, None, None)


def test_as_the_users_row_says():
    also = {"transform": "value / 10", "unit": "MWh"}
    assert _row("1.0.1.8.0.255", 50, ScalerUnit(0, 30), also) == (Decimal("0.005"), "MWh", 50, 0, "Wh")
    assert _row("1.0.1.8.0.255", 50, ScalerUnit(0, 30), {"scaler": 3})[:2] == (50, "kWh")


async def test_a_reply_agrees_with_the_topic(mosquitto, tmp_path):
    port = "PORT"
    async with (
        serve_tcp(household(1)) as server,
        house(mosquitto, tmp_path, HOUSE.replace(port, str(server.port))) as home,
    ):
        await home.until(lambda: "energy_import" in home.meter("state"))
        items = [{"obis": "1.0.1.8.0.255"}, {"obis": "0.0.1.0.0.255", "class": 8}, {"obis": "1.0.99.1.0.255:4"}]
        values = (await home.ask("meter/house/request/read", {"items": items}))["data"]["values"]
        energy = float(home.meter("value/energy_import"))
        assert (values[0]["unit"], values[0]["raw_unit"]) == ("kWh", "Wh")
        assert 0 <= values[0]["value"] - energy < 1 and values[0]["raw"] > 100 * energy
        assert values[1]["unit"] is None and values[1]["raw_unit"] is None


def test_what_cannot_be_worked_out_is_the_meters_number():
    assert _row("1.0.1.8.0.255", 0, ScalerUnit(0, 30), {"transform": "1 / value"})[:2] == (0, "Wh")
