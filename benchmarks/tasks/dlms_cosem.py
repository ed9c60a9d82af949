"""dlms-cosem. Its log on standard output is switched off by the runner, not here."""

from __future__ import annotations

from typing import Any

from benchmarks.tasks import AUTHENTICATION_KEY, HOST, KEY, TITLE


def _client(port: int, sap: int = 16, authentication: Any = None, **options: Any) -> Any:
    from dlms_cosem.client import DlmsClient
    from dlms_cosem.io import BlockingTcpIO, TcpTransport
    from dlms_cosem.security import NoSecurityAuthentication

    transport = TcpTransport(sap, 1, BlockingTcpIO(HOST, port))
    return DlmsClient(transport=transport, authentication=authentication or NoSecurityAuthentication(), **options)


def _attribute(kind: str, code: str, number: int = 2) -> Any:
    from dlms_cosem import cosem, enumerations

    return cosem.CosemAttribute(getattr(enumerations.CosemInterface, kind), cosem.Obis.from_string(code), number)


def ten_meters(ports: list[int]) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from dlms_cosem.utils import parse_as_dlms_data

    def read(port: int) -> Any:
        with _client(port).session() as meter:
            value = parse_as_dlms_data(meter.get(_attribute("REGISTER", "1.0.1.7.0.255")))
            scaler, unit = parse_as_dlms_data(meter.get(_attribute("REGISTER", "1.0.1.7.0.255", 3)))
        return value * 10**scaler, {27: "W", 30: "Wh"}[unit]

    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(read, ports))


def profile(port: int) -> Any:
    from dlms_cosem.parsers import ProfileGenericBufferParser

    codes = ["1.0.1.7.0.255", "1.0.1.8.0.255", "1.0.2.7.0.255", "1.0.2.8.0.255"]
    columns = [_attribute("CLOCK", "0.0.1.0.0.255"), _attribute("DATA", "0.0.96.10.1.255")]
    columns += [_attribute("REGISTER", code) for code in codes]
    with _client(port).session() as meter:
        buffer = meter.get(_attribute("PROFILE_GENERIC", "1.0.99.1.0.255"))
    rows = ProfileGenericBufferParser(capture_objects=columns, capture_period=15).parse_bytes(buffer)
    return [{cell.attribute.instance.to_string(): cell.value for cell in row} for row in rows]


def clock(port: int) -> Any:
    from datetime import UTC, datetime

    from dlms_cosem.time import datetime_from_bytes
    from dlms_cosem.utils import parse_as_dlms_data

    with _client(port).session() as meter:
        octets = parse_as_dlms_data(meter.get(_attribute("CLOCK", "0.0.1.0.0.255")))
    return (datetime_from_bytes(octets)[0].replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()


def ciphered(port: int, counter: int) -> Any:
    from dlms_cosem.security import HighLevelSecurityGmacAuthentication
    from dlms_cosem.utils import parse_as_dlms_data

    keys = {"encryption_key": KEY, "authentication_key": AUTHENTICATION_KEY}
    own = {"client_system_title": TITLE, "client_initial_invocation_counter": counter}
    with _client(port, 1, HighLevelSecurityGmacAuthentication(challenge_length=16), **keys, **own).session() as meter:
        return parse_as_dlms_data(meter.get(_attribute("REGISTER", "1.0.1.7.0.255")))


def push(data: bytes) -> Any:
    from dlms_cosem import cosem, security
    from dlms_cosem.protocol import xdlms
    from dlms_cosem.utils import parse_as_dlms_data

    message = xdlms.GeneralGlobalCipher.from_bytes(data)
    plain = security.decrypt(
        security_control=message.security_control,
        system_title=message.system_title,
        invocation_counter=message.invocation_counter,
        key=KEY,
        cipher_text=message.ciphered_text,
        auth_key=AUTHENTICATION_KEY,
    )
    body = parse_as_dlms_data(xdlms.DataNotification.from_bytes(plain).body)
    return [(cosem.Obis.from_bytes(body[at]).to_string(), body[at + 1]) for at in range(0, len(body) - 1, 3)]


def objects(port: int) -> Any:
    """It has no names for objects."""
    from dlms_cosem.parsers import AssociationObjectListParser

    with _client(port).session() as meter:
        octets = meter.get(_attribute("ASSOCIATION_LN", "0.0.40.0.0.255"))
    found = AssociationObjectListParser.parse_bytes(octets)
    return [(int(item.interface), item.logical_name.to_string(), "") for item in found]
