"""``derive``: values that users compute of several items, each with a key, a unit and an entity of its own; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from decimal import Decimal

from dlms_mqtt.bridge.config.sections.item import Derive as DeriveConfig
from dlms_mqtt.bridge.config.sections.item import Item as ItemConfig
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.reading.interpret import rounded, with_class
from dlms_mqtt.bridge.reading.latest_values import lifetime
from dlms_mqtt.bridge.reading.plan import Plan, PlanItem
from dlms_mqtt.languages.texts import Title
from dlms_mqtt.meter.catalogue.quantity import Quantity
from dlms_mqtt.meter.readings import Quality, Reading

Row = tuple[PlanItem, Reading, float]
Parts = Mapping[str, tuple[PlanItem, Reading]]  # what is fresh now, by key


def computed(key: str, config: DeriveConfig, parts: Parts, least: float) -> Row | None:
    """The value, when all its parts are fresh; it lives (s) as long as the slowest of them. ConfigError."""
    names = sorted(config.value.names) if config.value else []
    if config.value is None or not names or not all(name in parts for name in names):
        return None
    numbers = {name: parts[name][1].value for name in names}
    values = {name: value for name, value in numbers.items() if isinstance(value, Decimal)}
    if len(values) < len(names):
        return None
    value = config.value(values)
    value = value if config.decimals is None else rounded(value, config.decimals)
    newest = max((parts[name][1] for name in names), key=lambda reading: reading.time)
    unit = _unit(config, {parts[name][1].unit for name in names})
    reading = replace(newest, key=key, raw=value, value=value, unit=unit, scaler=None, quality=Quality.GOOD)
    item = _item(key, config, parts[names[0]][0], unit)
    return item, reading, max(least, *(lifetime(parts[name][0].schedule) for name in names))


def _unit(config: DeriveConfig, units: Collection[str]) -> str:
    """As it is said, else the parts' where they have the same."""
    if config.unit is not None:
        return config.unit
    return next(iter(units)) if len(units) == 1 else ""


def _item(key: str, config: DeriveConfig, part: PlanItem, unit: str) -> PlanItem:
    name = config.name or key.replace("_", " ").capitalize()
    row = ItemConfig(
        obis=part.attribute.obis,
        key=key,
        name=name,
        unit=unit,
        device_class=config.device_class,
        state_class=config.state_class,
        precision=config.precision if config.precision is not None else config.decimals,
        enabled=config.enabled,
    )
    return with_class(PlanItem(part.attribute, Quantity(key, Title(own=name)), part.schedule, row), unit)


def place_of(part: str) -> tuple[str, str]:
    """Meter and key of a part: ``garage.power`` is another meter's; of this one's own the meter is empty."""
    meter, _, key = part.rpartition(".")
    return meter, key


def known_keys(plan: Plan | None, config: Meter) -> Set[str] | None:
    """Those of all values that a meter has; None where nobody knows them, as of what it sends by itself."""
    if config.push or plan is None or not plan.items:
        return None
    return {*plan.by_key, *(row.key for row in plan.derived), *config.derive}
