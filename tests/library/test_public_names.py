"""The names that stay: each is pinned here, is really there, and costs nothing before it is used."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import dlms_mqtt

NAMES = {
    "dlms_mqtt": """
        AccessRefused AuthenticationRefused ClockDrift Connection Decoded DlmsMqttError Finding GuruxDevice Meter
        MeterObject MeterRefused Profile ProtocolError Push Reading SyncMeter TransportError decode find listen
        read_all read_gurux
    """,
    "dlms_mqtt.client": """
        ConnectionSettings DlmsClient Measured Store parse_settings read_clock read_objects read_profile
    """,
    "dlms_mqtt.protocol": """
        AttributeDescriptor Data DataType DateTime MethodDescriptor Obis Secret decode encode
        entry_access range_access
    """,
}


@pytest.mark.parametrize("module", NAMES)
def test_the_public_names(module: str) -> None:
    found = importlib.import_module(module)
    assert sorted(found.__all__) == sorted(NAMES[module].split())
    for name in found.__all__:
        assert getattr(found, name).__doc__
    assert set(NAMES[module].split()) <= set(dir(found))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        found.nonsense  # noqa: B018


def test_the_simulators_names() -> None:
    from dlms_mqtt import simulator

    assert sorted(simulator.__all__) == sorted(
        [
            "FAULTS",
            "FRAMINGS",
            "HLS_SECRET",
            "KEYS",
            "KEYS_256",
            "MANAGER",
            "PASSWORD",
            "PUBLIC",
            "READER",
            "Association",
            "Context",
            "CosemObject",
            "Dropped",
            "Event",
            "Fault",
            "Faults",
            "Meter",
            "MeterServer",
            "Outcome",
            "SignOnOptions",
            "TcpServer",
            "bare_meter",
            "household",
            "household_associations",
            "make",
            "make_link",
            "named",
            "serve_memory",
            "serve_pty",
            "serve_rfc2217",
            "serve_tcp",
            "serve_transport",
            "serve_udp",
        ]
    )


def imported(code: str) -> set[str]:
    """The modules that a fresh interpreter has after this code."""
    program = f"{code}\nimport sys, json; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


STRANGERS = {"paho", "aiomqtt", "yaml", "voluptuous", "serial", "cryptography", "asyncio"}


def test_importing_the_package_brings_nothing() -> None:
    assert not imported("import dlms_mqtt, dlms_mqtt.client, dlms_mqtt.protocol") & STRANGERS


def test_the_meter_brings_no_bridge() -> None:
    code = "from dlms_mqtt import Meter, SyncMeter, decode, find, listen, read_gurux\nMeter('tcp://a', client=32)"
    modules = imported(code)
    assert not modules & (STRANGERS - {"asyncio"})
    assert not [name for name in modules if name.startswith(("dlms_mqtt.bridge", "dlms_mqtt.cli."))]


def test_bytes_are_explained_without_an_event_loop() -> None:
    assert not imported("from dlms_mqtt import decode\ndecode('')") & STRANGERS


def test_the_catalogue_is_loaded_for_what_is_no_code() -> None:
    named = "from dlms_mqtt.meter.catalogue.reference import object_of; object_of"
    assert "dlms_mqtt.meter.catalogue.keys" not in imported(f"{named}('1-0:1.8.0')")
    assert "dlms_mqtt.meter.catalogue.keys" in imported(f"{named}('energy_import')")


def test_the_version() -> None:
    assert dlms_mqtt.__version__.count(".") == 2
