"""Files of GXDLMSDirector, which many meters are set up with: devices (``.gxc``) and saved objects (XML).

Passwords in a device file are encrypted with a key of that program and stay there: ``missing`` names what to add.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dlms_mqtt.client.settings import AUTHENTICATIONS
from dlms_mqtt.cosem.access import AttributeAccess, MethodAccess
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.library.connection import Connection, settings_of
from dlms_mqtt.library.results import JsonResult, MeterObject
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport.base import format_address

_DEFAULT_PORT = 4059
_KEY_DIGITS = (32, 64)
_PREFIX = "GXDLMS"
_MARK = 0x8000  # set in each word of rights by bits, so that it has four digits
_MOST = 32 << 20  # octets of a file
_INTERFACES = {"0": "hdlc", "HDLC": "hdlc", "1": "wrapper", "WRAPPER": "wrapper", "4": "sign-on"}
_INTERFACES |= {"HdlcWithModeE": "sign-on"}
_AUTHENTICATION_NAMES = ("None", "Low", "High", "HighMD5", "HighSHA1", "HighGMAC", "HighSHA256", "HighECDSA")
_SECURITIES = {"Authentication": "authentication", "Encryption": "encryption", "AuthenticationEncryption": "both"}
_SECURITIES |= {"16": "authentication", "32": "encryption", "48": "both"}
_PARITIES = {"0": "none", "None": "none", "1": "odd", "Odd": "odd", "2": "even", "Even": "even"}
#: The program's word for an interface class -> its number.
_CLASSES = {
    "Data": 1, "Register": 3, "ExtendedRegister": 4, "DemandRegister": 5, "RegisterActivation": 6,
    "ProfileGeneric": 7, "Clock": 8, "ScriptTable": 9, "Schedule": 10, "SpecialDaysTable": 11,
    "AssociationShortName": 12, "AssociationLogicalName": 15, "SapAssignment": 17, "ImageTransfer": 18,
    "IecLocalPortSetup": 19, "IECLocalPortSetup": 19, "IECOpticalPortSetup": 19, "ActivityCalendar": 20,
    "RegisterMonitor": 21, "ActionSchedule": 22, "IecHdlcSetup": 23, "HdlcSetup": 23, "IecTwistedPairSetup": 24,
    "MBusSlavePortSetup": 25, "UtilityTables": 26, "ModemConfiguration": 27, "AutoAnswer": 28, "AutoConnect": 29,
    "DataProtection": 30, "PushSetup": 40, "TcpUdpSetup": 41, "Ip4Setup": 42, "MacAddressSetup": 43,
    "PppSetup": 44, "GprsSetup": 45, "SmtpSetup": 46, "SMTPSetup": 46, "GSMDiagnostic": 47, "Ip6Setup": 48,
    "SFSKPhyMacSetUp": 50, "SFSKActiveInitiator": 51, "SFSKMacSynchronizationTimeouts": 52, "SFSKMacCounters": 53,
    "Iec61334_4_32LlcSetup": 55, "SFSKReportingSystemList": 56, "RegisterTable": 61, "CompactData": 62,
    "StatusMapping": 63, "SecuritySetup": 64, "ParameterMonitor": 65, "Arbitrator": 68, "DisconnectControl": 70,
    "Limiter": 71, "MBusClient": 72, "WirelessModeQchannel": 73, "MBusMasterPortSetup": 74, "LlcSscsSetup": 80,
    "PrimeNbOfdmPlcPhysicalLayerCounters": 81, "PrimeNbOfdmPlcMacSetup": 82,
    "PrimeNbOfdmPlcMacFunctionalParameters": 83, "PrimeNbOfdmPlcMacCounters": 84,
    "PrimeNbOfdmPlcMacNetworkAdministrationData": 85, "PrimeNbOfdmPlcApplicationsIdentification": 86,
    "G3PlcMacLayerCounters": 90, "G3PlcMacSetup": 91, "G3Plc6LoWPan": 92, "NtpSetup": 100, "NTPSetup": 100,
    "ZigBeeSasStartup": 101, "ZigBeeSasJoin": 102, "ZigBeeSasApsFragmentation": 103, "ZigBeeNetworkControl": 104,
    "Account": 111, "Credit": 112, "Charge": 113, "TokenGateway": 115, "Token": 115, "FunctionControl": 122,
    "ArrayManager": 123, "CommunicationPortProtection": 124, "LteMonitoring": 151, "CoAPSetup": 152,
    "CoAPDiagnostic": 153,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GuruxDevice(JsonResult):
    """One device of a file. ``connection``: the keywords of ``Meter``; ``missing``: what the file does not tell.

    A file of objects alone has no name and no connection.
    """

    name: str
    connection: Connection
    missing: tuple[str, ...]
    objects: list[MeterObject]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it; keys are not shown."""
        hidden = {"encryption_key", "authentication_key", "dedicated_key", "broadcast_key"} & set(self.connection)
        return {
            "name": self.name,
            "connection": dict(self.connection) | dict.fromkeys(hidden, "***"),
            "missing": list(self.missing),
            "objects": [item.as_dict() for item in self.objects],
        }


def read_gurux(path: str | os.PathLike[str]) -> list[GuruxDevice]:
    """The devices of a ``.gxc`` file, or the objects of an object file. OSError; ValueError for another file."""
    content = Path(path).read_bytes()
    if len(content) > _MOST or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError(f"{path} is no file of GXDLMSDirector")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - nothing in it can be expanded
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is no XML: {error}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    found = [root] if root.tag == "GXDLMSDevice" else root.findall("GXDLMSDevice")
    if not found and root.tag not in ("Objects", "ArrayOfGXDLMSDevice"):
        raise ValueError(f"{path} is no file of GXDLMSDirector: it holds <{root.tag}>")
    if root.tag == "Objects":
        return [GuruxDevice("", Connection(), (), list(_objects(root)))]
    try:
        return [_device(element) for element in found]
    except (ValueError, ConfigError) as error:
        raise ValueError(f"{path}: {error}") from None


def _device(element: ElementTree.Element) -> GuruxDevice:
    texts = {child.tag: (child.text or "").strip() for child in element}
    connection, missing = _connection(texts)
    holder = next((element.find(tag) for tag in ("Objects2", "Objects") if element.find(tag) is not None), None)
    objects = [] if holder is None else list(_objects(holder))
    return GuruxDevice(texts.get("Name", ""), connection, missing, objects)


# -- connection -------------------------------------------------------------------------------------------------------


def _connection(texts: dict[str, str]) -> tuple[Connection, tuple[str, ...]]:
    media, missing = _media(texts), _missing(texts)
    found = {
        **media,
        **_addresses(texts),
        **_limits(texts),
        **_security(texts),
        "authentication": _authentication(texts),
        "referencing": "sn" if texts.get("UseLN", "true").lower() in ("false", "0") else "ln",
        "pre_established": texts.get("PreEstablished", "").lower() in ("true", "1"),
    }
    connection: dict[str, Any] = {name: value for name, value in found.items() if value not in (None, "", False)}
    if not missing and media:  # what stands there must be usable
        settings_of("", connection)
    return Connection(**connection), missing  # type: ignore[typeddict-item]


def _media(texts: dict[str, str]) -> dict[str, Any]:
    """The line: MediaSettings is XML in text, without a root."""
    kind = texts.get("MediaType", "").rpartition(".")[2]
    try:
        rows = ElementTree.fromstring(f"<m>{texts.get('MediaSettings', '')}</m>")  # noqa: S314 - as above
    except ElementTree.ParseError as error:
        raise ValueError(f"its MediaSettings cannot be read: {error}") from None
    settings = {row.tag: (row.text or "").strip() for row in rows}
    if kind == "GXNet":
        udp = settings.get("Protocol", "1") in ("0", "Udp", "UDP")
        address = format_address(settings.get("IP", "localhost"), settings.get("Port", _DEFAULT_PORT))
        return {"udp" if udp else "tcp": address} | _framing(texts)
    if kind == "GXSerial":
        baud = settings.get("BaudRate", "9600")
        parity = _PARITIES.get(settings.get("Parity", "0"))
        return {"serial": settings.get("Port", "")} | _framing(texts) | _speed(texts, baud, parity)
    return _framing(texts)


def _framing(texts: dict[str, str]) -> dict[str, Any]:
    interface = _interface(texts)
    return {"framing": "hdlc", "opening": "sign-on"} if interface == "sign-on" else {"framing": interface}


def _interface(texts: dict[str, str]) -> str:
    word = texts.get("InterfaceType", "0")
    if word not in _INTERFACES:
        raise ValueError(f"InterfaceType {word} is not supported; HDLC, HDLC with mode E and the wrapper are")
    return _INTERFACES[word]


def _speed(texts: dict[str, str], baud: str, parity: str | None) -> dict[str, Any]:
    """A sign-on has its own speed."""
    return {} if _interface(texts) == "sign-on" else {"baud": int(baud), "parity": parity}


def _addresses(texts: dict[str, str]) -> dict[str, Any]:
    logical, physical = int(texts.get("LogicalAddress", "0")), int(texts.get("PhysicalAddress", "1"))
    client = {"client": int(texts.get("ClientAddress", "16"))}
    if _interface(texts) == "wrapper":
        return client | {"server": physical}
    if texts.get("HDLCAddressing", "0") in ("1", "SerialNumber"):  # its usual formula: the last four digits and 1000
        return client | {"server": logical or 1, "physical": physical % 10000 + 1000, "address_size": 4}
    size = {"address_size": int(texts.get("ServerAddressSize", "0")) or None}
    return client | size | ({"server": logical, "physical": physical} if logical else {"server": physical})


def _limits(texts: dict[str, str]) -> dict[str, Any]:
    info = int(texts.get("MaxInfoRX", "128"))
    return {
        "timeout": float(texts["WaitTime"]) if "WaitTime" in texts else None,
        "retries": int(texts["ResendCount"]) if "ResendCount" in texts else None,
        "max_info": info if info != 128 else None,
        "window": int(texts.get("WindowSizeRX", "1")) if texts.get("WindowSizeRX", "1") != "1" else None,
        "max_pdu": int(texts["PduSize"]) if texts.get("PduSize", "65535") != "65535" else None,
    }


def _authentication(texts: dict[str, str]) -> str:
    word = texts.get("Authentication", "None")
    number = int(word) if word.isdigit() else _index(_AUTHENTICATION_NAMES, word)
    if not 0 <= number < len(AUTHENTICATIONS):
        raise ValueError(f"Authentication {word} is not known")
    return AUTHENTICATIONS[number]


def _index(words: tuple[str, ...], word: str) -> int:
    return words.index(word) if word in words else -1


def _security(texts: dict[str, str]) -> dict[str, Any]:
    security = _SECURITIES.get(texts.get("Security", "None"))
    needed = security is not None or _authentication(texts) == "gmac"
    keys = {name: _key(texts, tag) for tag, name in _KEYS.items()} if needed else {}
    return {
        "security": security,
        "suite": int(texts.get("SecuritySuite", "0").removeprefix("Suite") or 0),
        "system_title": _hex(texts, "SystemTitle"),
        "meter_system_title": _hex(texts, "ServerSystemTitle") if needed else None,
        **keys,
    }


_KEYS = {
    "BlockCipherKey": "encryption_key",
    "AuthenticationKey": "authentication_key",
    "DedicatedKey": "dedicated_key",
    "BroadcastKey": "broadcast_key",
}


def _hex(texts: dict[str, str], tag: str) -> str | None:
    digits = texts.get(tag, "").replace(" ", "")
    try:
        return digits if len(bytes.fromhex(digits)) == 8 else None
    except ValueError:
        return None


def _key(texts: dict[str, str], tag: str) -> str | None:
    """A key that stands there in hexadecimal; others are encrypted."""
    digits = texts.get(tag, "").replace(" ", "")
    try:
        return digits if len(digits) in _KEY_DIGITS and bytes.fromhex(digits) else None
    except ValueError:
        return None


def _missing(texts: dict[str, str]) -> tuple[str, ...]:
    authentication = _authentication(texts)
    wanted = ["password"] if authentication in ("low", "hls", "md5", "sha1", "sha256") else []
    wanted += ["hls_algorithm"] if authentication == "hls" else []
    if "encryption_key" in _security(texts):
        wanted += [name for tag, name in _KEYS.items() if name in _NEEDED and _key(texts, tag) is None]
    return tuple(wanted)


_NEEDED = ("encryption_key", "authentication_key")

# -- objects ----------------------------------------------------------------------------------------------------------


def _objects(holder: ElementTree.Element) -> Iterator[MeterObject]:
    """What is no object of a known class is left out."""
    for element in holder:
        class_id = _CLASSES.get(element.tag.removeprefix(_PREFIX).removeprefix(_PREFIX))
        code = Obis.recognise(element.findtext("LN", "").strip())
        if class_id is not None and code is not None:
            yield MeterObject(_object(element, class_id, code))


def _object(element: ElementTree.Element, class_id: int, obis: Obis) -> ObjectInfo:
    short = int(element.findtext("SN", "0") or 0)
    return ObjectInfo(
        class_id,
        int(element.findtext("Version", "0") or 0),
        obis,
        _rights(element, "Access", AttributeAccess),
        _rights(element, "MethodAccess", MethodAccess),
        short or None,
    )


def _rights(element: ElementTree.Element, tag: str, make: Callable[[int, bool], Any]) -> dict[int, Any]:
    """A digit for each, or (``Access3``) four hexadecimal digits of bits."""
    words = element.findtext(f"{tag}3", "").strip()
    bits = [int(words[at : at + 4], 16) & ~_MARK for at in range(0, len(words), 4)]
    modes = [int(digit) for digit in element.findtext(tag, "").strip()]
    return {number: make(mode, bool(bits)) for number, mode in enumerate(bits or modes, 1)}
