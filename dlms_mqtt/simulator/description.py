"""A meter described in a short YAML file: what it is, its objects and values, its clients, oddities and faults.

What is not said is that of the household meter::

    kind: household                       # or bare: associations only
    seed: 7
    from: saved.json                      # objects of a real meter: `objects --values --json`
    objects:                              # added, or in the place of others
      - {obis: 1.0.1.8.0.255, class: 3, value: 4711, type: double-long-unsigned, scaler: 0, unit: Wh}
      - {obis: 0.0.96.1.9.255, attributes: {2: [octet-string, "41424344"]}, writable: [2], see: public}
    remove: [1.0.14.7.0.255]
    associations:                         # a number alone: as the household meter has it
      - 16
      - {client: 32, authentication: low, password: "text:12345678", level: reader, faults: [refuse-lists]}
    oddities: {profile_nulls: true}
    faults: ["lost,p=0.05"]
    push: ["tcp://127.0.0.1:4059,every=60"]
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from dlms_mqtt.cosem.catalogue import DEFAULT_ATTRIBUTE, default_class
from dlms_mqtt.cosem.classes import SCALERS, VALUES
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.axdr.data import DataType, from_tree, to_data
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import MANUFACTURER_ALGORITHMS, Keys
from dlms_mqtt.protocol.security.hls import MECHANISM_BY_WORD
from dlms_mqtt.protocol.security.suites import SECURITY_BY_WORD
from dlms_mqtt.protocol.units import unit_code
from dlms_mqtt.simulator.household.clients import household_associations
from dlms_mqtt.simulator.household.household import ZONE, bare_meter, household
from dlms_mqtt.simulator.lines.pusher import PushRow, parse_push
from dlms_mqtt.simulator.replay.saved_objects import saved_objects
from dlms_mqtt.simulator.server.associations import Association
from dlms_mqtt.simulator.server.faults import Faults
from dlms_mqtt.simulator.server.meter import Meter, ShiftedClock
from dlms_mqtt.simulator.server.objects import LEVELS, MANAGER, CosemObject, Value
from dlms_mqtt.transport.clock import Clock

_KEYS = ("kind", "seed", "name", "system_title", "zone", "server", "physical", "from", "objects", "remove")
KNOWN = (*_KEYS, "associations", "oddities", "faults", "push")
ODDITIES = {
    "sn_blocks": "value: blocks of a Read hold the bare value, not the body of the ReadResponse",
    "profile_nulls": "times after the first row of a profile are null-data",
}


@dataclass
class Described:
    """A meter out of a description, and what it pushes."""

    meter: Meter
    faults: Faults
    pushes: tuple[PushRow, ...] = field(default=())


def load_meter(
    file: Path,
    *,
    clock: Clock | None = None,
    seed: int | None = None,
    faults: tuple[str, ...] = (),
    start: datetime | None = None,
) -> Described:
    """The meter of a YAML description, or of the JSON that ``objects --values --json`` printed. ConfigError."""
    try:
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from None
    try:
        data = json.loads(content) if content.lstrip().startswith("{") else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError) as error:
        problem, mark = getattr(error, "problem", None) or error, getattr(error, "problem_mark", None)
        raise ConfigError(
            f"{file} is neither YAML nor JSON: {problem}", file=str(file), line=mark.line + 1 if mark else 0
        ) from None
    if isinstance(data, dict) and isinstance(data.get("objects"), list) and "meter" in data and "values" in data:
        data = {"kind": "bare", "from": data}
    try:
        return describe(data or {}, clock=clock, seed=seed, faults=faults, folder=file.parent, start=start)
    except ConfigError as error:
        raise ConfigError(
            _hidden(error.message), file=error.file or str(file), key=error.key, hint=_hidden(error.hint)
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ConfigError(f"the description is not understood: {_hidden(str(error))}", file=str(file)) from None


def _hidden(text: str) -> str:
    """A secret in the wrong place is the value that a sentence complains of."""
    return re.sub(r"\b(text|hex):[^'\"]*", r"\1:***", text)


def describe(
    data: Any,
    *,
    clock: Clock | None = None,
    seed: int | None = None,
    faults: tuple[str, ...] = (),
    folder: Path = Path(),
    start: datetime | None = None,
) -> Described:
    """The meter of a description that was already loaded; ``start``: what its clock shows now. ConfigError."""
    _check_keys(data, KNOWN, "the description of a meter")
    number = seed if seed is not None else int(data.get("seed", 1))
    trouble = Faults([*_list(data, "faults"), *faults], number)
    make = _KINDS.get(data.get("kind", "household"))
    if make is None:
        raise ConfigError(f"there is no kind of meter '{data['kind']}'", key="kind", hint=", ".join(_KINDS))
    zone = _zone(data.get("zone"))
    if start is not None:
        moment = start if start.tzinfo else start.replace(tzinfo=zone or ZoneInfo(ZONE))
        clock = ShiftedClock(clock or Clock(), moment)
    meter = make(number, clock=clock, zone=zone, faults=trouble, **_options(data))
    _furnish(meter, data, folder, trouble)
    return Described(meter, trouble, tuple(map(parse_push, _list(data, "push"))))


_KINDS: dict[str, Callable[..., Meter]] = {"household": household, "bare": bare_meter}


def _options(data: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: data[name] for name in ("name", "server", "physical") if name in data}
    if "system_title" in data:
        found["title"] = _octets(data["system_title"], "system_title", 8)
    return found


def _zone(name: Any) -> ZoneInfo | None:
    try:
        return None if name is None else ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"there is no time zone '{name}'", key="zone") from None


def _furnish(meter: Meter, data: Mapping[str, Any], folder: Path, faults: Faults) -> None:
    source = data.get("from")
    if source is not None:
        saved = source if isinstance(source, dict) else json.loads((folder / str(source)).read_text(encoding="utf-8"))
        meter.add(*saved_objects(meter, saved))
    for text in _list(data, "remove"):
        meter.remove(Obis.parse(str(text)))
    for number, row in enumerate(_list(data, "objects")):
        meter.add(_object(row, f"objects[{number}]"))
    if "associations" in data:
        meter.associations.clear()
        for number, row in enumerate(_list(data, "associations")):
            meter.associate(_association(row, f"associations[{number}]", faults))
    oddities = data.get("oddities") or {}
    _check_keys(oddities, tuple(ODDITIES), "oddities")
    meter.oddities |= {name: str(value) for name, value in oddities.items() if value not in (False, None)}


# -- objects ----------------------------------------------------------------------------------------------------------

_OBJECT_KEYS = (
    "obis", "class", "version", "value", "type", "scaler", "unit", "attributes", "writable", "see", "write", "range",
)  # fmt: skip


def _object(row: Any, place: str) -> CosemObject:
    _check_keys(row, _OBJECT_KEYS, place)
    if "obis" not in row:
        raise ConfigError("an object needs an obis", key=place)
    obis = Obis.parse(str(row["obis"]))
    class_id = int(row.get("class") or default_class(obis) or 1)
    item = CosemObject(class_id, obis, int(row.get("version", 0)), _values(row, class_id, place))
    item.writable = frozenset(map(int, _list(row, "writable")))
    item.see = _level(row.get("see", "reader"), f"{place}.see")
    item.write = _level(row.get("write", "reader"), f"{place}.write")
    if "range" in row:
        low, high = row["range"]
        item.checks = dict.fromkeys(item.writable, lambda value: low <= value <= high)
    return item


def _values(row: Mapping[str, Any], class_id: int, place: str) -> dict[int, Value]:
    values: dict[int, Value] = {int(n): from_tree(tree) for n, tree in (row.get("attributes") or {}).items()}
    if "value" in row:
        kind = DataType.from_text(str(row.get("type", "double-long-unsigned")))
        if kind is None:
            raise ConfigError(f"there is no type '{row['type']}'", key=f"{place}.type")
        values[VALUES[class_id][0] if class_id in SCALERS else DEFAULT_ATTRIBUTE] = to_data(row["value"], kind)
    if class_id in SCALERS and ("unit" in row or "scaler" in row):
        code = unit_code(str(row["unit"])) if "unit" in row else 255
        if code is None:
            raise ConfigError(f"there is no unit '{row['unit']}'", key=f"{place}.unit")
        values[SCALERS[class_id]] = ScalerUnit(int(row.get("scaler", 0)), code).to_data()
    return values


def _level(word: Any, place: str) -> int:
    if word not in LEVELS:
        raise ConfigError(f"there is no level '{word}'", key=place, hint=", ".join(LEVELS))
    return LEVELS[word]


# -- clients ----------------------------------------------------------------------------------------------------------

_ASSOCIATION_KEYS = (
    "client", "name", "level", "authentication", "password", "algorithm", "referencing", "security", "suite",
    "encryption_key", "authentication_key", "broadcast_key", "conformance", "max_pdu", "gbt_window", "pre_established",
    "faults",
)  # fmt: skip


def _association(row: Any, place: str, faults: Faults) -> Association:
    """``household`` or a number alone: as the household meter has it."""
    if isinstance(row, int):
        return next(item for item in household_associations(faults) if item.client == row)
    _check_keys(row, _ASSOCIATION_KEYS, place)
    if "client" not in row:
        raise ConfigError("an association needs a client number", key=place)
    keys = None
    if "encryption_key" in row:
        keys = Keys(
            _secret(row["encryption_key"]),
            _secret(row.get("authentication_key", "hex:")),
            None,
            _secret(row["broadcast_key"]) if "broadcast_key" in row else None,
        )
        keys.check(row.get("suite", 0))
    options: dict[str, Any] = {
        name: row[name] for name in ("referencing", "suite", "max_pdu", "gbt_window", "pre_established") if name in row
    }
    if "conformance" in row:
        services = Conformance.from_names(row["conformance"])
        options |= {"ln_services": services, "sn_services": services}
    own = Faults(_list(row, "faults"), 1) if "faults" in row else faults
    return Association(
        int(row["client"]),
        str(row.get("name", row["client"])),
        _level(row.get("level", "manager"), f"{place}.level"),
        _mechanism(row.get("authentication", "none"), place),
        _secret(row.get("password", "text:")),
        MANUFACTURER_ALGORITHMS.get(row.get("algorithm", "aes")) if row.get("authentication") == "hls" else None,
        keys,
        policy=SECURITY_BY_WORD[row.get("security", "both" if keys else "none")],
        faults=own,
        **options,
    )


def _mechanism(word: Any, place: str) -> Mechanism:
    if word not in MECHANISM_BY_WORD:
        raise ConfigError(f"there is no authentication '{word}'", key=place, hint=", ".join(MECHANISM_BY_WORD))
    return MECHANISM_BY_WORD[word]


def _secret(text: Any) -> Secret:
    kind, colon, rest = str(text).partition(":")
    if not colon or kind not in ("text", "hex"):
        raise ConfigError("a secret must say what it is", hint="Write text:... or hex:...")
    return Secret(rest.encode()) if kind == "text" else Secret(_octets(rest, "secret"))


# -- small helpers ----------------------------------------------------------------------------------------------------


def _octets(text: Any, key: str, length: int = 0) -> bytes:
    try:
        octets = bytes.fromhex(str(text))
    except ValueError:
        raise ConfigError("expected hexadecimal octets", key=key) from None
    if length and len(octets) != length:
        raise ConfigError(f"expected {length} octets, not {len(octets)}", key=key)
    return octets


def _check_keys(data: Any, known: tuple[str, ...], what: str) -> None:
    if not isinstance(data, dict):
        raise ConfigError(f"{what} must be a mapping")
    strange = [str(key) for key in data if key not in known]
    if strange:
        raise ConfigError(f"{what} has no key '{strange[0]}'", key=strange[0], hint=f"There is {', '.join(known)}.")


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    found = data.get(key) or []
    if not isinstance(found, list):
        raise ConfigError(f"{key} must be a list", key=key)
    return found


__all__ = ["MANAGER", "ODDITIES", "Described", "describe", "load_meter"]
