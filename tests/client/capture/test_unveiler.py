"""The plain text of every ciphered message of a client, both ways."""

from __future__ import annotations

from dlms_mqtt.client.capture.unveiler import Unveiler
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from tests.client.our_meter import WAYS, OurMeter
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)


async def test_both_ways_of_each_association(clock: FakeClock) -> None:
    async with OurMeter() as meter:
        client = meter.client(**WAYS["gmac, ciphered"])
        unveiler = Unveiler(client)
        async with client:
            await client.get(ENERGY)
        first = len(unveiler.plain)
        requests = [plain for plain in unveiler.plain.values() if plain[:2] == b"\xc0\x01"]
        assert any(plain[3:12] == b"\x00\x03" + bytes(ENERGY.obis) + b"\x02" for plain in requests)
        assert any(plain[:2] == b"\xc4\x01" for plain in unveiler.plain.values())
        assert all(plain != ciphered for ciphered, plain in unveiler.plain.items())
        async with client:
            await client.get(ENERGY)
        assert len(unveiler.plain) >= 2 * first - 1


async def test_nothing_where_nothing_is_ciphered(clock: FakeClock) -> None:
    async with OurMeter() as meter:
        client = meter.client(**WAYS["public"])
        unveiler = Unveiler(client)
        async with client:
            pass
        assert unveiler.plain == {}
