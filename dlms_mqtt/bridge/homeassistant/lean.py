"""What of a meter is enabled when Home Assistant meets it first: what people look at. The rest is there, disabled.

Home Assistant asks only when it registers an entity, so whoever has one enabled keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace
from typing import Any

from dlms_mqtt.bridge.homeassistant.entities import Entity

#: Rarely looked at, or said already by the device's page, another value or a repair.
_SPARE = re.compile(
    r"""( frequency | power_factor | phase_angle | angle ) (_.*)?
      | ( reactive | apparent ) _.*
      | .*demand.*
      | energy_ ( net | absolute ) (_.*)? | energy_.*_l\d
      | clock | last_success | logical_device_name | ( serial_number | firmware | configuration ) (_.*)?
      | read_now | pause""",
    re.VERBOSE,
)
#: The component has its own of these.
_TRANSLATED = frozenset(("status", "event"))
_ONE_WAY = re.compile(r"power_(?:import|export)(|_l\d)")
_OF_A_PHASE = re.compile(r"power(_import|_export)?_l\d")
_MAY_BE_NOUGHT = re.compile(r"energy_(export.*|.*_t\d+)")
_REGISTERS = re.compile(r"(operating_status|alarm|error|status)(_.*)?")


def lean(
    entities: Iterable[Entity], chosen: Collection[str], values: Mapping[str, Any], *, translated: bool = False
) -> list[Entity]:
    """Disable the spare ones. ``chosen``: keys that the user's own rows name; ``values``: the latest by key.

    ``translated``: Home Assistant's component shows its own instead of some, in its user's language.
    """
    found = list(entities)
    keys = {entity.key for entity in found}
    return [
        replace(entity, enabled=False)
        if (translated and entity.key in _TRANSLATED)
        or (entity.key not in chosen and _is_spare(entity, keys, values.get(entity.key)))
        else entity
        for entity in found
    ]


def _is_spare(entity: Entity, keys: Set[str], value: Any) -> bool:
    one_way = _ONE_WAY.fullmatch(entity.key)
    if one_way and f"power{one_way[1]}" in keys:  # the signed one says both
        return True
    if _OF_A_PHASE.fullmatch(entity.key) and not keys.isdisjoint(("power", "power_import")):
        return True
    if _MAY_BE_NOUGHT.fullmatch(entity.key) and value == 0:
        return True
    raw = entity.platform == "sensor" and entity.source == "value" and not entity.options and not entity.unit
    return bool(_SPARE.fullmatch(entity.key) or (raw and _REGISTERS.fullmatch(entity.key)))
