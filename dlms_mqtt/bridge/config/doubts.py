"""What is allowed in a configuration and rarely meant: for ``check``, which tells it and goes on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec

from dlms_mqtt.bridge.config.load import Loaded
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.config.speaking import polls
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.transport.esphome.address import is_esphome

_BY_OTHERS = 0o004
_OF_ESPHOME = ("serialx", "aioesphomeapi")  # modules of the extra of that name


def doubts(loaded: Loaded) -> Iterator[str]:
    """One sentence each, with what to do."""
    polled = {
        name: settings
        for name, settings in loaded.connections.items()
        if not settings.bind  # there the meter's connection is the line
        and loaded.config.meters[name].enabled
        and polls(loaded.config.meters[name], settings.line)
    }
    for names in _together((name, _address(settings)) for name, settings in polled.items()):
        yield (
            f"meters {', '.join(names)} have the same line and address ({polled[names[0]].line}): the same meter would "
            "be read as each of them; give each its own server, physical or iec_address"
        )
    for names in _together((name, settings.serial) for name, settings in polled.items() if settings.serial):
        speeds = {_speed(polled[name]): name for name in names}
        if len(speeds) > 1:
            shown = ", ".join(f"{name} {speed}" for speed, name in speeds.items())
            yield f"meters on {polled[names[0]].serial} are asked at different speeds ({shown}); is that meant?"
    for name, meter in loaded.config.meters.items():
        for other in sorted(_others(meter) - loaded.config.meters.keys()):
            yield f"meters.{name}.derive: there is no meter '{other}', so what is computed of it never comes"
    if circle := _circle(loaded.config.meters):
        yield f"derive: {', '.join(circle)} are computed of each other, so that they never come"
    heads = [name for name, settings in loaded.connections.items() if is_esphome(settings.line)]
    if heads and not all(map(find_spec, _OF_ESPHOME)):
        yield f"meters {', '.join(heads)} need what is not installed here: pip install 'dlms-mqtt[esphome]'"
    for file in sorted(loaded.secret_files):
        if file.stat().st_mode & _BY_OTHERS:
            yield f"{file} holds secrets and can be read by every user of this machine; chmod 600 it"


def _others(meter: Meter) -> set[str]:
    """Meters of whose values this one computes something."""
    parts = (name for formula in meter.derive.values() if formula.value for name in formula.value.names)
    return {name.partition(".")[0] for name in parts if "." in name}


def _circle(meters: Mapping[str, Meter]) -> list[str]:
    """Values, as ``meter.key``, that need each other; empty where there are none."""
    needs = {
        f"{meter}.{key}": {name if "." in name else f"{meter}.{name}" for name in formula.value.names}
        for meter, config in meters.items()
        for key, formula in config.derive.items()
        if formula.value
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def _together(pairs: Iterable[tuple[str, Hashable]]) -> Iterator[list[str]]:
    """The names that share what stands beside them."""
    groups = defaultdict(list)
    for name, shared in pairs:
        groups[shared].append(name)
    return (names for names in groups.values() if len(names) > 1)


def _address(settings: ConnectionSettings) -> Hashable:
    """Two clients of one meter are two views of it, and may be meant."""
    return (
        settings.line,
        settings.iec_address,
        settings.server,
        settings.physical,
        settings.client,
        settings.association,
    )


def _speed(settings: ConnectionSettings) -> str:
    """What the line starts with; ``auto`` tries for itself."""
    signed_on = dict.fromkeys(("sign-on", "readout"), (300, "even"))
    usual = ({"direct": (9600, "none")} | signed_on).get(settings.opening, ("auto", "auto"))
    return f"{settings.baud or usual[0]}/{settings.parity or usual[1]}"
