"""gurux-dlms as a client of our meter, over gurux-net: both referencings, both framings, every authentication.

Its known faults (1.0.203) decide what is asked of it, and are named where they do: with short names it cannot cipher
(an assertion fails), it writes its proof of the secret where only a Read could return the meter's (so ours goes
unchecked), and block-wise parameterised reads fail (``setTotalCount``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from dlms_mqtt.simulator import HLS_SECRET, KEYS, KEYS_256, PASSWORD
from tests.simulator.bench import TITLE, frozen_meter, running
from tests.simulator.reference import value_of

pytest.importorskip("gurux_net")
from gurux_dlms import GXDateTime
from gurux_dlms.enums import Authentication as A
from gurux_dlms.enums import DataType, ObjectType, Security
from gurux_dlms.objects import (
    GXDLMSClock,
    GXDLMSData,
    GXDLMSDisconnectControl,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.objects.enums import SecuritySuite

from tests.simulator.gurux import Gurux

COUNTER = iter(range(20_000_000, 90_000_000, 10_000))

CLIENTS: dict[str, dict[str, Any]] = {
    "none": {"client": 17},
    "low": {"client": 33, "authentication": A.LOW, "password": b"87654321"},
    "hls2": {"client": 34, "authentication": A.HIGH, "password": bytes(HLS_SECRET)},
    "md5": {"client": 35, "authentication": A.HIGH_MD5, "password": bytes(HLS_SECRET)},
    "sha1": {"client": 36, "authentication": A.HIGH_SHA1, "password": bytes(HLS_SECRET)},
    "sha256": {"client": 38, "authentication": A.HIGH_SHA256, "password": bytes(HLS_SECRET), "title": TITLE},
    "gmac": {"client": 1, "authentication": A.HIGH_GMAC, "keys": KEYS},
    "gmac suite 2": {"client": 42, "authentication": A.HIGH_GMAC, "keys": KEYS_256},
    "ciphered low": {"client": 40, "authentication": A.LOW, "password": bytes(PASSWORD), "keys": KEYS},
    "encryption only": {"client": 39, "keys": KEYS, "security": Security.ENCRYPTION},
    "authentication only": {
        "client": 40,
        "authentication": A.LOW,
        "password": bytes(PASSWORD),
        "keys": KEYS,
        "security": Security.AUTHENTICATION,
    },
}
PLAIN = ["none", "low", "hls2", "md5", "sha1", "sha256"]


@pytest.fixture(scope="module")
def meter() -> Any:
    return frozen_meter()


@pytest.fixture(scope="module")
def ports(meter: Any) -> Iterator[dict[str, int]]:
    with running(meter) as wrapper, running(meter, "hdlc") as hdlc:
        yield {"wrapper": wrapper, "hdlc": hdlc}


def gurux(ports: dict[str, int], link: str, name: str, **options: Any) -> Gurux:
    chosen = CLIENTS[name] | options
    if "keys" in chosen:
        chosen |= {"title": TITLE, "counter": next(COUNTER)}
    found = Gurux(ports[link], hdlc=link == "hdlc", **chosen)
    if name.endswith("suite 2"):
        found.dlms.ciphering.securitySuite = SecuritySuite.SUITE_2
    return found


def reads(meter: Any, connected: Gurux) -> None:
    view = connected.objects()
    assert len(view) >= len(meter.objects) - 3
    energy = view.findByLN(ObjectType.REGISTER, "1.0.1.8.0.255")
    connected.read(energy, 3)
    assert connected.read(energy, 2) == value_of(meter, 3, "1.0.1.8.0.255")
    assert energy.scaler == 1
    clock = view.findByLN(ObjectType.CLOCK, "0.0.1.0.0.255")
    shown = connected.read(clock, 2)
    assert shown.value.replace(tzinfo=None) == meter.now().replace(tzinfo=None)


def profile(connected: Gurux, obis: str = "1.0.99.2.0.255") -> GXDLMSProfileGeneric:
    found = connected.objects().findByLN(ObjectType.PROFILE_GENERIC, obis)
    connected.read(found, 3)
    return found


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_logical_names(meter: Any, ports: dict[str, int], link: str, name: str) -> None:
    with gurux(ports, link, name) as connected:
        reads(meter, connected)
        daily = profile(connected)
        assert len(connected.read(daily, 2)) == 90
        daily.buffer.clear()
        assert len(connected.rows(daily, connected.dlms.readRowsByEntry(daily, 1, 4))) == 4
        daily.buffer.clear()
        start, end = datetime(2026, 1, 2, 12), datetime(2026, 1, 4, 12)
        assert len(connected.rows(daily, connected.dlms.readRowsByRange(daily, start, end))) == 2


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_short_names(meter: Any, ports: dict[str, int], link: str, name: str) -> None:
    with gurux(ports, link, name, logical=False) as connected:
        reads(meter, connected)
        daily = profile(connected)
        assert len(connected.read(daily, 2)) == 90


def test_dedicated_key(meter: Any, ports: dict[str, int]) -> None:
    with gurux(ports, "wrapper", "gmac", dedicated=bytes(range(16, 32))) as connected:
        reads(meter, connected)


@pytest.mark.parametrize("name", ["low", "gmac"])
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_writes_and_methods(meter: Any, ports: dict[str, int], link: str, name: str) -> None:
    with gurux(ports, link, name) as connected:
        message = GXDLMSData("0.0.96.13.0.255")
        message.value, message_type = b"from gurux", DataType.OCTET_STRING
        message.setDataType(2, message_type)
        connected.write(message, 2)
        assert bytes(value_of(meter, 1, "0.0.96.13.0.255")) == b"from gurux"
        ratio = GXDLMSData("1.0.0.4.2.255")
        ratio.value = 0
        ratio.setDataType(2, DataType.UINT16)
        with pytest.raises(Exception, match="250"):
            connected.write(ratio, 2)
        switch = GXDLMSDisconnectControl("0.0.96.3.10.255")
        connected.method(switch, 1, 0, DataType.INT8)
        assert value_of(meter, 70, "0.0.96.3.10.255") is False
        connected.method(switch, 2, 0, DataType.INT8)
        assert value_of(meter, 70, "0.0.96.3.10.255") is True


def test_a_long_write_goes_in_blocks(meter: Any, ports: dict[str, int]) -> None:
    with gurux(ports, "wrapper", "low") as connected:
        name = GXDLMSData("0.0.96.13.0.255")
        name.value = b"n" * 128
        name.setDataType(2, DataType.OCTET_STRING)
        connected.dlms.settings.maxPduSize = 80
        connected.write(name, 2)
        assert bytes(value_of(meter, 1, "0.0.96.13.0.255")) == b"n" * 128


def test_a_list(meter: Any, ports: dict[str, int]) -> None:
    with gurux(ports, "wrapper", "low") as connected:
        registers = [GXDLMSRegister(f"1.0.{code}.255") for code in ("1.8.0", "2.8.0", "1.8.1")]
        wanted = [(item, 2) for item in registers]
        reply = connected.ask(connected.dlms.readList(wanted)[0])
        connected.dlms.updateValues(wanted, reply.value)
        assert [item.value for item in registers] == [
            value_of(meter, 3, f"1.0.{code}.255") for code in ("1.8.0", "2.8.0", "1.8.1")
        ]


def test_the_clock_is_set() -> None:
    own = frozen_meter()
    with running(own) as port, gurux({"wrapper": port}, "wrapper", "low") as connected:
        clock = GXDLMSClock("0.0.1.0.0.255")
        clock.time = GXDateTime(datetime(2026, 3, 4, 5, 6, 7))
        connected.write(clock, 2)
        assert abs((own.now().replace(tzinfo=None) - datetime(2026, 3, 4, 5, 6, 7)).total_seconds()) <= 3600


@pytest.mark.parametrize("name", ["low", "md5", "sha256"])
def test_a_wrong_password_is_refused(ports: dict[str, int], name: str) -> None:
    with pytest.raises(Exception), gurux(ports, "wrapper", name, password=b"wrong password !"):  # noqa: B017
        pass
