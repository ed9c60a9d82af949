"""pydlms-client."""

from __future__ import annotations

from typing import Any

from benchmarks.tasks import AUTHENTICATION_KEY, HOST, KEY, TITLE


def ten_meters(ports: list[int]) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from pydlms.client import DlmsClient

    def read(port: int) -> Any:
        with DlmsClient.tcp(HOST, port) as meter:
            found = meter.get_register("1.0.1.7.0.255")
        return found.value, found.unit_symbol

    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(read, ports))


def profile(port: int) -> Any:
    from pydlms.client import DlmsClient

    with DlmsClient.tcp(HOST, port) as meter:
        found = meter.read_profile("1.0.99.1.0.255", typed=True)
    names = [str(column.obis) if hasattr(column, "obis") else str(column) for column in found.columns]
    return [dict(zip(names, [row[0].to_datetime(), *row[1:]], strict=False)) for row in found.rows]


def clock(port: int) -> Any:
    from datetime import UTC, datetime

    from pydlms.client import DlmsClient

    with DlmsClient.tcp(HOST, port) as meter:
        shown = meter.get_clock().to_datetime()
    return (shown - datetime.now(UTC)).total_seconds()


def ciphered(port: int, counter: int) -> Any:
    from pydlms.client import DlmsClient
    from pydlms.security.context import SecurityContext

    security = SecurityContext(KEY, AUTHENTICATION_KEY, client_system_title=TITLE, invocation_counter=counter)
    with DlmsClient.tcp(HOST, port, client_sap=1, mechanism=5, security=security) as meter:
        return meter.get("1.0.1.7.0.255", 3, 2).value


def push(data: bytes) -> Any:
    from pydlms.push import PushDecoder
    from pydlms.security.context import SecurityContext

    context = SecurityContext(KEY, AUTHENTICATION_KEY, client_system_title=TITLE)
    return [(str(record.obis), record.raw) for record in PushDecoder(security=context).decode_apdu(data).records]


def objects(port: int) -> Any:
    """It has no names for objects."""
    from pydlms.client import DlmsClient

    with DlmsClient.tcp(HOST, port) as meter:
        return [(item.class_id, str(item.logical_name), "") for item in meter.get_association_view()]
