"""What a meter has: its list, kept and read anew; classes of bare codes, types, and who it says it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from dlms_mqtt.client.procedures.objects import (
    held,
    identify,
    list_or_why,
    read_named,
    read_objects,
    resolve,
    resolve_again,
    text_of,
    type_of,
)
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.reference import ObjectRef, parse_reference
from dlms_mqtt.errors import (
    AccessRefused,
    AttributeFailed,
    ConfigError,
    ConnectFailed,
    ConnectionLost,
    DecodeError,
    DlmsMqttError,
    ResponseTimeout,
)
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
        first = meter.times(b"\x05\x01\x02\xfa\x08")
        assert len(await read_objects(client)) > 20
        assert (first, meter.times(b"\x05\x01\x02\xfa\x08")) == (1, 1)
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


MISSING = attribute(1, "0.0.96.77.0.255")
LOCK = attribute(70, "0.0.96.3.10.255", 3)


def ref(text: str) -> ObjectRef:
    return parse_reference(text, lambda _: None)


async def test_the_class_of_a_bare_code_is_given_known_or_listed(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        code = "0.0.77.77.77.255"  # no catalogue has it
        assert await resolve(client, [ref("1-0:1.8.0"), ref("1/0-0:42.0.0")]) == [3, 1]
        assert meter.times(b"\xc0\x01\xc1\x00\x0f") == 0  # no list was needed
        with pytest.raises(AccessRefused, match="the meter has no object") as caught:
            await resolve(client, [ref(code)])
        assert caught.value.name == "object-undefined"


@pytest.mark.parametrize(
    ("error", "recovers"),
    [
        (ResponseTimeout("no answer"), True),
        (ConnectionLost("closed"), True),
        (AccessRefused("refused"), True),
        (DecodeError("no array"), True),
        (ConnectFailed("nobody is there"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_list_that_does_not_come_is_none(
    monkeypatch: pytest.MonkeyPatch, error: DlmsMqttError, recovers: bool
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("dlms_mqtt.client.procedures.objects.read_objects", fails)
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        if recovers:
            assert await list_or_why(client) == ((), error.message)
            assert isinstance(await client.get(NAME), Data)
        else:
            with pytest.raises(ConnectFailed):
                await list_or_why(client)


async def test_a_list_that_does_not_come_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def silent(*_: object, **__: object) -> None:
        asked.append(1)
        raise ResponseTimeout("no answer")

    monkeypatch.setattr("dlms_mqtt.client.procedures.objects.read_objects", silent)
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        energy, nowhere = await read_named(client, [ref("1-0:1.8.0"), ref("0-0:77.77.77")])
    assert isinstance(energy[1], Measured)
    assert isinstance(nowhere[1], AccessRefused)
    assert nowhere[1].hint == "Name the class: CLASS/OBIS."
    assert len(asked) == 1


async def test_where_the_usual_class_is_wrong_the_meters_list_tells(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        refs = [ref("0-0:42.0.0"), ref("3/1-0:1.8.0"), ref("0-0:96.77.0")]
        refused = AccessRefused("no", name="object-undefined")
        denied = AccessRefused("no", name="read-write-denied")
        assert await resolve_again(client, refs, [denied, refused, Data(DataType.UNSIGNED, 1)]) == {}
        assert await resolve_again(client, refs, [refused, refused, refused]) == {0: 1}


async def test_the_type_of_a_value(clock: object) -> None:
    """As it was read, as the class has it; else it must be stated."""
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        assert await type_of(client, NAME) is DataType.OCTET_STRING
        client.memory.types[NAME] = DataType.VISIBLE_STRING
        assert await type_of(client, NAME) is DataType.VISIBLE_STRING
        assert await type_of(client, LOCK) is DataType.ENUM
        assert await held(client, MISSING) is None
        assert await type_of(client, attribute(8, "0.0.96.77.0.255")) is DataType.OCTET_STRING
        with pytest.raises(ConfigError, match="is not known, and it cannot be read"):
            await type_of(client, MISSING)


async def test_who_it_says_it_is(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        identity = await identify(client, proof=True)
        assert identity.name == identity.logical_device_name
        assert identity.logical_device_name.startswith("DMQ")
        assert identity.firmware
        meter.faults.add("silence")
        with pytest.raises(ResponseTimeout):
            await identify(client, proof=True)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Data(DataType.OCTET_STRING, b"KFM1"), "KFM1"),
        (Data(DataType.OCTET_STRING, b"\x00\x01"), "0001"),
        (Data(DataType.OCTET_STRING, b"a\n"), "610a"),
        (Data(DataType.VISIBLE_STRING, "V1"), "V1"),
        (Data(DataType.UNSIGNED, 7), "7"),
        (AccessRefused("no"), ""),
    ],
)
def test_a_name_or_number_as_text(answer: Any, text: str) -> None:
    assert text_of(answer) == text


async def test_a_meter_that_answers_no_question_is_not_known_to_be_there() -> None:
    failed = AttributeFailed("no name", error=ResponseTimeout("silence"), target="1/0.0.42.0.0.255:2")
    client = SimpleNamespace(
        get_many=AsyncMock(return_value=[failed, failed]), association=SimpleNamespace(system_title=b"\x01\x02")
    )
    assert (await identify(client)).name == "0102"  # type: ignore[arg-type]
    with pytest.raises(ResponseTimeout, match="silence"):
        await identify(client, proof=True)  # type: ignore[arg-type]


async def test_rights_that_the_meter_does_not_show_leave_its_list(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17, referencing="sn") as client:
        shown = await read_objects(client)
        get_raw, rights = client.get_raw, attribute(12, "0.0.40.0.0.255", 3)

        async def hide_rights(wanted: Any) -> bytes:
            if wanted == rights:
                raise AccessRefused("no", code=3, name="read-write-denied")
            return await get_raw(wanted)

        client.get_raw = hide_rights  # type: ignore[method-assign,assignment]
        plain = await read_objects(client)
        assert [item.obis for item in plain] == [item.obis for item in shown]
        assert any(item.attribute_access for item in shown) and not any(item.attribute_access for item in plain)


async def test_where_the_list_cannot_be_read_a_guess_stays_a_guess(clock: object) -> None:
    refused = AccessRefused("no", code=4, name="object-undefined")
    (bare,) = [parse_reference("1-0:1.8.0")]
    async with OurMeter(framing="wrapper") as meter, meter.client(client=17) as client:
        client.get_raw = AsyncMock(side_effect=refused)  # type: ignore[method-assign]
        assert await resolve_again(client, [bare], [refused]) == {}
        assert await resolve_again(client, [bare], [Data(DataType.UNSIGNED, 1)]) == {}
        assert client.get_raw.await_count == 1
