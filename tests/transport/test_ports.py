from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlms_mqtt.transport.ports import Port, list_ports


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """Two probes with one serial number, a two-port adapter, a probe that udev knows by its place only."""
    for name in ("ttyUSB0", "ttyUSB1", "ttyUSB2", "ttyUSB3", "ttyACM0", "ttyS0"):
        (tmp_path / name).touch()
    names = {
        "by-id": {"usb-KN_probe_0001-if00": "ttyUSB1", "usb-F_A1-if00": "ttyUSB2", "usb-F_A1-if01": "ttyUSB3"},
        "by-path": {"usb-1.1": "ttyUSB0", "usb-1.2": "ttyUSB1", "usb-1.3:0": "ttyUSB2", "usb-1.4": "ttyACM0"},
    }
    for folder, entries in names.items():
        (tmp_path / folder).mkdir()
        for link, target in entries.items():
            (tmp_path / folder / link).symlink_to(tmp_path / target)
    return tmp_path


def port(links: Path, name: str, serial: str | None = None, location: str | None = None, vid: int | None = 1) -> Any:
    return SimpleNamespace(
        device=str(links / name), vid=vid, pid=2, serial_number=serial, location=location, description="a probe"
    )


def test_names_that_stay(links: Path) -> None:
    found = [
        port(links, "ttyUSB0", "0001", "1-1.1:1.0"),
        port(links, "ttyUSB1", "0001", "1-1.2:1.0"),
        port(links, "ttyUSB2", "A1", "1-1.3:1.0"),
        port(links, "ttyUSB3", "A1", "1-1.3:1.1"),
        port(links, "ttyACM0", None, "1-1.4:1.0"),
        port(links, "ttyS0", vid=None),
    ]
    names = {Path(port.device).name: Path(port.name).relative_to(links).as_posix() for port in list_ports(found, links)}
    assert names == {
        "ttyUSB0": "by-path/usb-1.1",
        "ttyUSB1": "by-path/usb-1.2",
        "ttyUSB2": "by-id/usb-F_A1-if00",
        "ttyUSB3": "by-id/usb-F_A1-if01",
        "ttyACM0": "by-path/usb-1.4",
        "ttyS0": "ttyS0",
    }


def test_without_udev(tmp_path: Path) -> None:
    name = str(tmp_path / "ttyUSB0")
    assert list_ports([port(tmp_path, "ttyUSB0", "X")], tmp_path / "none") == [Port(name, name, "a probe", "X")]


def test_this_machine_can_be_asked() -> None:
    assert all(isinstance(entry, Port) for entry in list_ports())
