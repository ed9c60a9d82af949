"""What a meter has: its list, kept and read anew; classes of bare codes, types, and who it says it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.procedures.objects import read_objects, resolve
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.protocol.axdr.data import Data, DataType
from tests.client.our_meter import OurMeter
from tests.client.some_objects import CUT_OFF, PROFILE, attribute

NAME = attribute(1, "0.0.42.0.0.255")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


async def test_object_lists_by_both_references_are_kept_apart(tmp_path: Path) -> None:
    """The same client of one meter by logical and by short names; also the kept list has its rights."""
    found: dict[str, list[Any]] = {"ln": [], "sn": []}
    async with OurMeter(framing="wrapper") as meter:
        with Store(tmp_path / "state.sqlite") as store:
            for referencing in ("ln", "sn", "sn", "ln"):
                async with meter.client(store, client=17, referencing=referencing) as client:
                    found[referencing].append(await read_objects(client, store))
    assert [item.short_name is None for item in found["ln"][0]].count(False) == 0
    for first, again in found.values():
        assert first == again
        assert any(item.attribute_access for item in again)


async def test_lists_of_short_names_are_read_once_and_methods_written(clock: object) -> None:
    async with OurMeter() as meter, meter.client(referencing="sn", client=17) as client:
        await client.get(NAME)
        asked = meter.times(b"\x05\x01\x02\xfa\x08")
        assert len(await read_objects(client)) > 20
        assert (asked, meter.times(b"\x05\x01\x02\xfa\x08")) == (1, 1)
        assert len((await read_profile(client, PROFILE, Selection(first=1, count=4))).rows) == 4
        assert await client.invoke(CUT_OFF, Data(DataType.INTEGER, 0)) is None
        assert (await client.get(attribute(70, str(CUT_OFF.obis), 3))).value == 0, "disconnected"


@pytest.mark.parametrize("data", [b"", b"\x01\x00", b"\xff\x00", "{}", 5, b"\x01\x82\xff\xff"])
async def test_a_list_that_was_damaged_on_the_disk_is_read_again(store: Store, data: Any) -> None:
    async with OurMeter(framing="wrapper") as meter:
        async with meter.client(store, client=17) as client:
            whole = await read_objects(client, store)
        with store.transaction() as db:
            db.execute("UPDATE object_lists SET data = ?", (data,))
        async with meter.client(store, client=17) as client:
            assert await resolve(client, [ObjectRef(None, whole[0].obis)], store) == [whole[0].class_id]
            assert await read_objects(client, store) == whole
        assert isinstance(store.read("SELECT data FROM object_lists")[0][0], bytes)
