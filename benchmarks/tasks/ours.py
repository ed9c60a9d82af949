"""dlms-mqtt."""

from __future__ import annotations

from typing import Any

from benchmarks.tasks import AUTHENTICATION_KEY, HOST, KEY


def ten_meters(ports: list[int]) -> Any:
    import asyncio

    from dlms_mqtt import Meter, read_all

    found = asyncio.run(read_all([Meter(f"tcp://{HOST}:{port}") for port in ports], "1-0:1.7.0"))
    return [(reading.value, reading.unit) for (reading,) in found]


def profile(port: int) -> Any:
    from dlms_mqtt import SyncMeter

    with SyncMeter(f"tcp://{HOST}:{port}") as meter:
        return list(meter.profile("1-0:99.1.0"))


def clock(port: int) -> Any:
    from dlms_mqtt import SyncMeter

    with SyncMeter(f"tcp://{HOST}:{port}") as meter:
        return meter.clock().seconds


def ciphered(port: int, counter: int) -> Any:
    from dlms_mqtt import SyncMeter

    keys: Any = {"encryption_key": KEY, "authentication_key": AUTHENTICATION_KEY, "invocation_counter": counter}
    with SyncMeter(f"tcp://{HOST}:{port}", client=1, authentication="gmac", state=None, **keys) as meter:
        return meter.read("1-0:1.7.0").raw


def push(data: bytes) -> Any:
    from dlms_mqtt import decode

    readings = decode(data, encryption_key=KEY, authentication_key=AUTHENTICATION_KEY).readings
    return [(str(reading.obis), reading.raw) for reading in readings]


def objects(port: int) -> Any:
    from dlms_mqtt import SyncMeter

    with SyncMeter(f"tcp://{HOST}:{port}") as meter:
        return [(item.class_id, str(item.obis), item.name) for item in meter.objects()]
