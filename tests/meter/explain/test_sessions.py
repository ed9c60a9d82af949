"""``decode`` of whole sessions with our meter: every way in, every form of ciphering, both directions together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.meter.explain.explain import explain
from dlms_mqtt.protocol.apdu.access import AccessKind, AccessSpecification
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys
from tests.client.our_meter import WAYS, OurMeter
from tests.client.some_objects import CUT_OFF, attribute

NAME = attribute(1, "0.0.42.0.0.255")
LABEL = attribute(1, "0.0.96.1.1.255")
READERS = {"public", "low", "low, authenticated", "pre-established"}
FORMS = ("global", "dedicated", "general-global", "general-dedicated")
DEDICATED = Secret(b"D3dicated-key-16" + b"and-16-more-of-it")


class Heard(OurMeter):
    """What both sides said, in order."""

    def __init__(self, framing: str) -> None:
        super().__init__(framing=framing)
        self.talk = bytearray()
        read, write = self.line.read, self.line.write

        async def reading(timeout: float | None) -> bytes:
            data = await read(timeout)
            self.talk += data
            return data

        def writing(data: bytes) -> None:
            self.talk += data
            write(data)

        self.line.read, self.line.write = reading, writing  # type: ignore[method-assign]


async def session(way: dict[str, Any], framing: str, manager: bool) -> bytes:
    """A bit of everything."""
    async with Heard(framing) as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **way) as client:
                await client.get_many([NAME, LABEL, NAME])
                if manager:
                    await client.set(LABEL, await client.get(LABEL))
                    await client.invoke(CUT_OFF, Data(DataType.INTEGER, 0))
                if way.get("referencing") != "sn":
                    await client.access([AccessSpecification(AccessKind.GET, NAME)])
        return bytes(meter.talk)


def cases() -> Iterator[Any]:
    for name, way in WAYS.items():
        ciphered = "encryption_key" in way and way.get("security") != "none"
        for form in FORMS if ciphered else FORMS[:1]:
            for referencing in ("ln", "sn") if not way.get("pre_established") else ("ln",):
                chosen = way | {"ciphering": form, "referencing": referencing}
                if form == "dedicated":
                    chosen["dedicated_key"] = Secret(DEDICATED[: 32 if way.get("suite") == 2 else 16])
                yield pytest.param(chosen, name not in READERS, id=f"{name}-{form}-{referencing}")


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
@pytest.mark.parametrize("blocks", [{}, {"gbt_window": 2, "max_pdu": 90}], ids=["whole", "blocks"])
@pytest.mark.parametrize(("way", "manager"), cases())
async def test_a_session_is_explained(
    clock: object, way: dict[str, Any], manager: bool, blocks: dict[str, int], framing: str
) -> None:
    """Nothing is left over, every tag is verified; a dedicated key is taken from the capture, and not shown."""
    talk = await session(way | blocks, framing, manager)
    keys = Keys(way["encryption_key"], way["authentication_key"]) if "encryption_key" in way else None
    document = explain(talk, keys)
    assert (document["errors"], document["rest"]) == ([], "")
    ciphered = [message["ciphering"] for message in document["messages"] if "ciphering" in message]
    assert bool(ciphered) == (keys is not None and way.get("security") != "none")
    assert all(part["verified"] for part in ciphered)
    names = [message["apdu"]["name"] for message in document["messages"]]
    wanted = {"read-request", "read-response"} if way["referencing"] == "sn" else {"access-request", "access-response"}
    assert wanted <= set(names)
    told = str(document)
    assert DEDICATED[:16].hex() not in told
    if keys is not None and way.get("security") != "none":
        blind = explain(talk)
        assert blind["rest"] == ""
        assert len(blind["messages"]) == len(document["messages"])
