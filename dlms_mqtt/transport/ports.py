"""The serial ports of this machine, each under a name that stays the same when probes are unplugged or swapped.

``/dev/ttyUSB0`` goes to whichever probe was plugged in first. udev's names by serial number do not, except where two
probes share one number (or have none): those are named by the socket they are in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

LINKS = Path("/dev/serial")


class Port(NamedTuple):
    """A port. ``name`` is the one to keep in a configuration, ``device`` what it is at the moment."""

    name: str
    device: str
    description: str
    serial_number: str


def list_ports(found: Iterable[Any] | None = None, links: Path = LINKS) -> list[Port]:
    """All serial ports, sorted by name; ``found`` as pyserial's ``comports`` gives them. Opens none of them."""
    ports = _comports() if found is None else list(found)
    by_id, by_path = _links(links / "by-id"), _links(links / "by-path")
    alike = Counter(map(_identity, ports))
    named = []
    for port in ports:
        target = str(Path(port.device).resolve())
        names = (by_path, by_id) if alike[_identity(port)] > 1 else (by_id, by_path)
        name = next((known[target] for known in names if target in known), port.device)
        named.append(Port(name, port.device, port.description or "", port.serial_number or ""))
    return sorted(named)


def _comports() -> list[Any]:
    from serial.tools.list_ports import comports

    return list(comports())


def _identity(port: Any) -> tuple[object, ...]:
    """What udev makes a name of; the location ends in the interface, which tells the ports of one adapter apart."""
    if port.vid is None:
        return (port.device,)
    return port.vid, port.pid, port.serial_number, (port.location or "").partition(":")[2]


def _links(folder: Path) -> dict[str, str]:
    """Device -> the link that names it."""
    if not folder.is_dir():
        return {}
    return {str(link.resolve()): str(link) for link in sorted(folder.iterdir(), reverse=True)}
