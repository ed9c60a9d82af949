"""``/metrics``: a snapshot as OpenMetrics text, names and units by Prometheus' rules; pure.

A value carries no time stamp of its own: Prometheus would drop what is read once a day. The reading's time is a metric
of its own, ``dlms_reading_timestamp_seconds``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from dlms_mqtt.meter.json_text import number_text

TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Unit(NamedTuple):
    """A base unit of Prometheus, in the plural, and how many of it the meter's unit is."""

    name: str
    factor: Decimal = Decimal(1)


_KILO = Decimal(1000)
#: Units of the topics -> base units. Others go without one, and stand in the label ``unit``.
UNITS: dict[str, Unit] = {
    "Wh": Unit("joules", Decimal(3600)),
    "kWh": Unit("joules", Decimal(3_600_000)),
    "J": Unit("joules"),
    "MJ": Unit("joules", Decimal(1_000_000)),
    "varh": Unit("var_hours"),
    "kvarh": Unit("var_hours", _KILO),
    "VAh": Unit("volt_ampere_hours"),
    "kVAh": Unit("volt_ampere_hours", _KILO),
    "W": Unit("watts"),
    "kW": Unit("watts", _KILO),
    "var": Unit("vars"),
    "kvar": Unit("vars", _KILO),
    "VA": Unit("volt_amperes"),
    "kVA": Unit("volt_amperes", _KILO),
    "V": Unit("volts"),
    "A": Unit("amperes"),
    "mA": Unit("amperes", Decimal("0.001")),
    "Hz": Unit("hertz"),
    "°C": Unit("celsius"),
    "%": Unit("ratio", Decimal("0.01")),
    "°": Unit("degrees"),
    "s": Unit("seconds"),
    "min": Unit("seconds", Decimal(60)),
    "h": Unit("seconds", Decimal(3600)),
    "d": Unit("seconds", Decimal(86400)),
    "m³": Unit("cubic_meters"),
    "L": Unit("cubic_meters", Decimal("0.001")),
    "bar": Unit("pascals", Decimal(100_000)),
    "Pa": Unit("pascals"),
}
_STATUS = ("ok", "degraded", "failing")
Labels = dict[str, str]


@dataclass
class Family:
    """A metric: its samples are labels and a number."""

    name: str
    kind: str  # gauge, counter, info
    help: str
    unit: str = ""
    samples: list[tuple[Labels, Any]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """As text."""
        yield f"# TYPE {self.name} {self.kind}"
        if self.unit:
            yield f"# UNIT {self.name} {self.unit}"
        yield f"# HELP {self.name} {_escaped(self.help)}"
        suffix = {"counter": "_total", "info": "_info"}.get(self.kind, "")
        for labels, value in self.samples:
            pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            yield f"{self.name}{suffix}{{{pairs}}} {_number(value)}"


def metrics(snapshot: Mapping[str, Any]) -> str:
    """The text of ``/metrics``."""
    families = [*_of_bridge(snapshot), *_of_meters(snapshot["meters"]), *_of_values(snapshot["meters"])]
    lines = [line for family in families if family.samples for line in family.lines()]
    return "\n".join((*lines, "# EOF", ""))


def _of_bridge(snapshot: Mapping[str, Any]) -> Iterator[Family]:
    bridge, counters = snapshot["bridge"], snapshot["counters"]
    started = datetime.fromisoformat(bridge["started"]).timestamp()
    own = {"bridge": bridge["id"]}
    rows: tuple[tuple[str, str, str, str, Any], ...] = (
        ("start_time_seconds", "gauge", "When the bridge was started, Unix time.", "seconds", started),
        ("connected", "gauge", "1: there is a line to the MQTT broker.", "", bridge["connected"]),
        ("unsent_readings", "gauge", "Readings that wait for the broker.", "", counters["unsent"]),
        ("dropped_readings", "counter", "Readings that were lost because too many waited.", "", counters["dropped"]),
    )
    yield Family("dlms_mqtt_bridge", "info", "The bridge.", "", [({**own, "version": bridge["version"]}, 1)])
    for name, kind, sentence, unit, value in rows:
        yield Family(f"dlms_mqtt_{name}", kind, sentence, unit, [(own, value)])
    states = [({**own, "status": word}, word == snapshot["status"]) for word in _STATUS]
    yield Family("dlms_mqtt_status", "gauge", "1 for the status that the bridge has.", "", states)


class _OfHealth(NamedTuple):
    """A figure of a meter's health: its field, and how it becomes a base unit."""

    field: str
    name: str
    kind: str
    help: str
    unit: str = ""
    factor: Decimal = Decimal(1)


_HEALTH = (
    _OfHealth("consecutive_failures", "consecutive_failures", "gauge", "Cycles that failed since the last success."),
    _OfHealth("read_duration", "read_duration_seconds", "gauge", "How long the last cycle took.", "seconds"),
    _OfHealth("line_errors", "line_errors", "counter", "Errors on the line since the bridge was started."),
    _OfHealth("line_quality", "line_quality_ratio", "gauge", "Exchanges that went well.", "ratio", Decimal("0.01")),
    _OfHealth("turn_round", "turn_round_seconds", "gauge", "How long the meter takes to answer.", "seconds"),
    _OfHealth("clock_drift", "clock_drift_seconds", "gauge", "How far the meter's clock is ahead.", "seconds"),
    _OfHealth("invocation_counter", "invocation_counter", "counter", "The next number of a ciphered message."),
)


def _of_meters(meters: Mapping[str, Any]) -> Iterator[Family]:
    names = [({"meter": name, "name": row["name"]}, 1) for name, row in meters.items()]
    yield Family("dlms_mqtt_meter", "info", "The meters.", "", names)
    up = [({"meter": name}, row["online"]) for name, row in meters.items()]
    yield Family("dlms_mqtt_meter_up", "gauge", "1: the meter answers.", "", up)
    states = [({"meter": name, "status": row["health"]["status"]}, 1) for name, row in meters.items()]
    yield Family("dlms_mqtt_meter_status", "gauge", "How the meter does, as the label status.", "", states)
    success = [
        ({"meter": name}, datetime.fromisoformat(row["health"]["last_success"]).timestamp())
        for name, row in meters.items()
        if row["health"]["last_success"]
    ]
    name = "dlms_mqtt_meter_last_success_timestamp_seconds"
    yield Family(name, "gauge", "When the meter answered last, Unix time.", "seconds", success)
    for figure in _HEALTH:
        samples = [
            ({"meter": name}, Decimal(str(value)) * figure.factor)
            for name, row in meters.items()
            if (value := row["health"][figure.field]) is not None
        ]
        yield Family(f"dlms_mqtt_meter_{figure.name}", figure.kind, figure.help, figure.unit, samples)


def _of_values(meters: Mapping[str, Any]) -> Iterable[Family]:
    """One metric per key and unit, the meter as a label; text is a label of a metric that is 1."""
    families: dict[str, Family] = {}
    times = Family("dlms_reading_timestamp_seconds", "gauge", "When the value was read, Unix time.", "seconds")
    for meter, row in meters.items():
        for key, value in row["values"].items():
            _add(families, meter, key, value)
            times.samples.append(({"meter": meter, "key": key}, datetime.fromisoformat(value["time"]).timestamp()))
    return [*(families[name] for name in sorted(families)), times]


def _add(families: dict[str, Family], meter: str, key: str, row: Mapping[str, Any]) -> None:
    value, unit = row["value"], UNITS.get(row["unit"])
    if not isinstance(value, Decimal | int | float):
        family = families.setdefault(f"dlms_{key}", Family(f"dlms_{key}", "info", row["name"]))
        if family.kind == "info":
            family.samples.append(({"meter": meter, "value": str(value)}, 1))
        return
    kind = "counter" if row["state_class"] == "total_increasing" else "gauge"
    name = f"dlms_{key}_{unit.name}" if unit else f"dlms_{key}"
    if families.get(name, Family(name, kind, "")).kind != kind:  # two meters differ about it; one name has one type
        name = f"dlms_{key}_{kind}" + (f"_{unit.name}" if unit else "")
    family = families.setdefault(name, Family(name, kind, row["name"], unit.name if unit else ""))
    labels = {"meter": meter} if unit or not row["unit"] else {"meter": meter, "unit": row["unit"]}
    number = value if isinstance(value, bool) else Decimal(str(value)) * (unit.factor if unit else 1)
    family.samples.append((labels, number))


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return number_text(value) if isinstance(value, Decimal) else repr(value)


def _escaped(text: str) -> str:
    return str(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
