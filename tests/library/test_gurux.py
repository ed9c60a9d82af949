"""Files of GXDLMSDirector: written by Gurux's own Python library where it can, and as its sources describe them."""

from __future__ import annotations

import io
import json
import pickle
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from gurux_dlms import GXDLMSClient
from gurux_dlms.enums import AccessMode, MethodAccessMode, ObjectType
from gurux_dlms.GXDLMSConverter import GXDLMSConverter
from gurux_dlms.objects import (
    GXDLMSAssociationLogicalName,
    GXDLMSClock,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)
from gurux_dlms.objects.GXDLMSObjectCollection import GXDLMSObjectCollection
from gurux_net import GXNet
from gurux_net.enums import NetworkType

from dlms_mqtt import Meter, read_gurux
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.library.gurux import _CLASSES
from dlms_mqtt.protocol.framing.hdlc.address import encode_address
from dlms_mqtt.simulator import household, serve_tcp

DEVICE = """<?xml version="1.0" encoding="utf-8"?>
<ArrayOfGXDLMSDevice xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns="Gurux1">
  <GXDLMSDevice>{fields}</GXDLMSDevice>
</ArrayOfGXDLMSDevice>
"""
KEY = "000102030405060708090A0B0C0D0E0F"


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "meters.gxc"
    path.write_text(DEVICE.format(fields="".join(f"<{tag}>{value}</{tag}>" for tag, value in fields.items())))
    return path


def network(host: str, port: int) -> dict[str, str]:
    media = GXNet(NetworkType.TCP, host, port)
    return {"MediaType": "Gurux.Net.GXNet", "MediaSettings": media.getSettings().replace("<", "&lt;").strip()}


def media(kind: str, settings: str) -> dict[str, str]:
    return {"MediaType": f"Gurux.{kind}", "MediaSettings": settings.replace("<", "&lt;")}


UDP = media("Net.GXNet", "<IP>192.0.2.5</IP><Port>4060</Port><Protocol>0</Protocol>")
SERIAL = media("Serial.GXSerial", "<Port>COM3</Port><BaudRate>19200</BaudRate><Parity>2</Parity>")


async def test_a_device_is_read_from_as_it_is(tmp_path: Path) -> None:
    async with serve_tcp(household(1)) as server:
        path = written(
            tmp_path,
            Name="House",
            InterfaceType=1,
            Authentication="Low",
            ClientAddress=32,
            PhysicalAddress=1,
            Password="AAECAwQFBgc=",
            **network("127.0.0.1", server.port),
        )
        (device,) = read_gurux(path)
        assert (device.name, device.missing) == ("House", ("password",))
        async with Meter(**device.connection, password="12345678") as meter:
            assert (await meter.read("1-0:1.8.0")).unit == "Wh"


DEVICES: list[tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = [
    (
        network("192.0.2.5", 4060) | {"UseLN": "false"},
        {"tcp": "192.0.2.5:4060", "framing": "hdlc", "referencing": "sn", "server": 1, "client": 16},
        (),
    ),
    (network("fd00::5", 4060), {"tcp": "[fd00::5]:4060", "framing": "hdlc"}, ()),
    (UDP | {"InterfaceType": "WRAPPER"}, {"udp": "192.0.2.5:4060", "framing": "wrapper"}, ()),
    (SERIAL, {"serial": "COM3", "baud": 19200, "parity": "even", "framing": "hdlc"}, ()),
    (SERIAL | {"InterfaceType": "4"}, {"serial": "COM3", "opening": "sign-on", "framing": "hdlc"}, ()),
    (SERIAL | {"LogicalAddress": 1, "PhysicalAddress": 17}, {"server": 1, "physical": 17}, ()),
    (
        SERIAL | {"HDLCAddressing": 1, "PhysicalAddress": 12345678},
        {"server": 1, "physical": 6678, "address_size": 4},
        (),
    ),
    (SERIAL | {"WaitTime": 7, "ResendCount": 2, "MaxInfoRX": 1024}, {"timeout": 7, "retries": 2, "max_info": 1024}, ()),
    (
        network("192.0.2.5", 4060)
        | {"Authentication": "HighGMAC", "Security": "AuthenticationEncryption", "SecuritySuite": "Suite1"}
        | {"SystemTitle": "4752580000000001", "BlockCipherKey": KEY, "AuthenticationKey": KEY},
        {"authentication": "gmac", "security": "both", "suite": 1, "encryption_key": KEY, "authentication_key": KEY},
        (),
    ),
    (
        network("192.0.2.5", 4060) | {"Authentication": "5", "Security": "48", "BlockCipherKey": "q83vEjRW"},
        {"authentication": "gmac", "security": "both"},
        ("encryption_key", "authentication_key"),
    ),
    (SERIAL | {"Authentication": "High"}, {"authentication": "hls"}, ("password", "hls_algorithm")),
]


@pytest.mark.parametrize(("fields", "expected", "missing"), DEVICES, ids=lambda value: str(value)[-30:])
def test_connections(
    tmp_path: Path, fields: dict[str, Any], expected: dict[str, Any], missing: tuple[str, ...]
) -> None:
    (device,) = read_gurux(written(tmp_path, **fields))
    connection: dict[str, Any] = dict(device.connection)
    assert {name: connection.get(name) for name in expected} == expected
    assert device.missing == missing
    assert KEY not in device.to_json()
    assert pickle.loads(pickle.dumps(device)) == device


ADDRESSES = [(0, 1), (0, 16), (1, 1), (1, 17), (1, 127), (1, 1234), (2, 9999)]


@pytest.mark.parametrize(("logical", "physical"), ADDRESSES)
def test_the_same_address_on_the_line_as_of_gurux(tmp_path: Path, logical: int, physical: int) -> None:
    (device,) = read_gurux(written(tmp_path, LogicalAddress=logical, PhysicalAddress=physical, **SERIAL))
    theirs = GXDLMSClient.getServerAddress(logical, physical)
    client = GXDLMSClient()
    client.serverAddress = theirs
    frame = bytes(client.snrmRequest())
    connection = device.connection
    ours = encode_address(connection["server"], connection.get("physical"), connection.get("address_size", 0) or 0)
    assert frame[3 : 3 + len(ours)] == ours


def objects_file(folder: Path, version: int = 2) -> Path:
    association, register = GXDLMSAssociationLogicalName(), GXDLMSRegister("1.0.1.8.0.255")
    association.version = version
    register.setAccess(2, AccessMode.READ)
    register.setAccess(3, AccessMode.READ_WRITE)
    register.setMethodAccess(1, MethodAccessMode.NO_ACCESS)
    objects = GXDLMSObjectCollection()
    for item in (association, register, GXDLMSClock("0.0.1.0.0.255"), GXDLMSProfileGeneric("1.0.99.1.0.255")):
        objects.append(item)
    path = folder / "objects.xml"
    with redirect_stdout(io.StringIO()):
        objects.save(str(path))
    return path


def test_objects_that_gurux_saved(tmp_path: Path) -> None:
    (device,) = read_gurux(objects_file(tmp_path))
    assert (device.name, device.connection, device.missing) == ("", {}, ())
    assert [str(item) for item in device.objects] == [
        "15/0.0.40.0.0.255",
        "3/1.0.1.8.0.255",
        "8/0.0.1.0.0.255",
        "7/1.0.99.1.0.255",
    ]
    register = device.objects[1]
    assert register.attributes == {1: "read-only", 2: "read-only", 3: "read-and-write"}
    assert register.methods == {1: "no-access"}
    assert json.loads(device.to_json())["objects"][1]["name"] == "Active energy import"


def test_rights_in_bits(tmp_path: Path) -> None:
    (device,) = read_gurux(objects_file(tmp_path, version=3))
    assert device.objects[1].info.attribute_access[2].bits


async def test_objects_of_a_file_can_be_read(tmp_path: Path) -> None:
    (device,) = read_gurux(objects_file(tmp_path))
    async with serve_tcp(household(1)) as server, Meter(f"tcp://127.0.0.1:{server.port}", client=17) as meter:
        energy, clock = await meter.read(device.objects[1:3])
    assert energy.unit == "Wh"
    assert clock.error is None


def test_every_class_is_the_one_of_gurux() -> None:
    """But for SMTP setup, whose number is wrong in their Python library (46 in the Blue Book)."""
    theirs = {GXDLMSConverter.objectTypeToString(kind): int(kind) for kind in ObjectType}
    assert {word for word, number in _CLASSES.items() if theirs.get(word, number) != number} <= {"SMTPSetup"}
    assert all(find(number) for number in _CLASSES.values())
    assert len(theirs.keys() & _CLASSES.keys()) > 60


WRONG = [
    ("not xml", "is no XML"),
    ("<other/>", "it holds <other>"),
    ('<!DOCTYPE x [<!ENTITY a "b">]><Objects/>', "is no file of GXDLMSDirector"),
    (DEVICE.format(fields="<InterfaceType>5</InterfaceType>"), "InterfaceType 5 is not supported"),
    (DEVICE.format(fields="<Authentication>Magic</Authentication>"), "Authentication Magic is not known"),
    (DEVICE.format(fields="<ClientAddress>x</ClientAddress>"), "meters.gxc: "),
    (DEVICE.format(fields="<MediaSettings>&lt;IP</MediaSettings>"), "MediaSettings cannot be read"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_no_such_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "meters.gxc"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_gurux(path)
