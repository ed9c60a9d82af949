"""From the forms' fields to a meter's configuration, as the bridge's API takes it, and back. Nothing here does I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from homeassistant.util import slugify

from .api import Json, as_object
from .const import MASKED
from .errors import local_time

Seal = Callable[[str], str]

LINE_KEYS: tuple[str, ...] = ("serial", "tcp", "udp")
HEAD_KEY = "noise_psk"  # opens an ESPHome device, not the meter; it is typed into the address of the port
SECRET_KEYS = ("password", "encryption_key", "authentication_key", HEAD_KEY)
PLAIN_KEYS = ("client", "server", "authentication", "security", "suite", "system_title")
NUMBERS = ("client", "server", "suite")
KEYS = ("encryption_key", "authentication_key")
KEY_LENGTHS = {"0": (32,), "1": (32,), "2": (64,)}  # hexadecimal digits, by suite; automatic takes both
PUBLIC_CLIENT = 16
CLOCK = 8  # the class
USUAL_CLIENTS = "1, 32"  # of readers with a password
CIPHERING = "ciphering"  # the section of the access form with what only ciphered meters need
_CIPHERING_KEYS = (*KEYS, "security", "suite", "system_title")
_UNSEARCHED = ("password", "authentication", *_CIPHERING_KEYS)  # what no search finds out: it stays as it was given
ADDRESS_KEYS = ("client", "server", "physical", "iec_address")  # what tells the meters of one line apart
ID_LENGTH = 64
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def meter_id(name: str, taken: Iterable[str]) -> str:
    """An id that the API allows, made of the name, and not yet taken."""
    slug = slugify(name, separator="-")
    base = "meter" if slug == "unknown" else slug  # Home Assistant's word for a name without letters and digits
    used = set(taken)
    numbers = ("", *(f"-{number}" for number in range(2, len(used) + 3)))
    candidates = (base[: ID_LENGTH - len(number)].rstrip("-") + number for number in numbers)
    return next(candidate for candidate in candidates if candidate not in used)


def host_port(host: str, port: float) -> str:
    """``host:port``; an IPv6 address in brackets."""
    host = host.strip()
    return f"[{host}]:{port:.0f}" if ":" in host and not host.startswith("[") else f"{host}:{port:.0f}"


def head_key(port: str) -> tuple[str, str]:
    """A serial port without the key of an ESPHome device that was typed into its address, and that key."""
    base, _, query = port.partition("?")
    parts = [(part.partition("=")[0], part) for part in query.split("&")]
    keys = [unquote(part.partition("=")[2]).replace(" ", "+") for name, part in parts if name in (HEAD_KEY, "key")]
    if "://" not in base or not keys:
        return port, ""
    kept = "&".join(part for name, part in parts if name not in (HEAD_KEY, "key"))
    return f"{base}?{kept}" if kept else base, keys[-1].strip()


def with_line(connection: Mapping[str, Any], line: Mapping[str, Any]) -> Json:
    """The connection over another line."""
    return {**{key: value for key, value in connection.items() if key not in LINE_KEYS}, **line}


def with_found(connection: Mapping[str, Any], found: Mapping[str, Any]) -> Json:
    """What a search found on the line of the connection, with the access data given so far."""
    kept = {key: value for key, value in connection.items() if key in (*LINE_KEYS, *_UNSEARCHED)}
    return {**kept, **with_line(found, {})}


def same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Do two connections lead to one meter, in one role? Told by what is written: a family may say more."""
    return all(one.get(key) == other.get(key) for key in (*LINE_KEYS, *ADDRESS_KEYS))


def masked(config: Mapping[str, Any]) -> Json:
    """A configuration as the bridge shows it, which leaves secrets out: each may be set, and stays if none is given."""
    connection = as_object(config.get("connection"))
    return {**config, "connection": {**dict.fromkeys(SECRET_KEYS, MASKED), **connection}}


def without_masked(connection: Mapping[str, Any]) -> Json:
    """The connection without the secrets that only the bridge knows."""
    return {key: value for key, value in connection.items() if value != MASKED}


def without_secrets(connection: Mapping[str, Any]) -> Json:
    """The connection without any secret: those that were sealed are for their line only."""
    return {key: value for key, value in connection.items() if key not in SECRET_KEYS}


def outgoing(config: Mapping[str, Any]) -> Json:
    """A configuration as a request may carry it.

    What a meter allows is no publisher's business, and a masked secret says nothing: the bridge keeps its own of both.
    """
    plain = {key: value for key, value in config.items() if key not in ("allow", "actions")}
    plain["connection"] = without_masked(as_object(config.get("connection")))
    if "read" in config:
        read = normal_read(config)
        plain["read"] = {**read, "also": [row for row in read["also"] if not row.get("writable")]}
    return plain


# What a search learned


def facts_of(learned: Mapping[str, Any], connection: Mapping[str, Any]) -> str:
    """Who the meter is and how it is reached, as names and numbers that need no translation."""
    who = [learned.get(key) for key in ("manufacturer", "logical_device_name", "serial_number")]
    where = [connection.get("framing"), f"server {connection.get('server') or 1}"]
    return ", ".join(dict.fromkeys(str(part) for part in (*who, *where) if part))


def name_of(learned: Mapping[str, Any]) -> str:
    """A name to suggest: the maker and the end of the serial number, which is on the meter's front."""
    serial = str(learned.get("serial_number") or "")
    return " ".join(part for part in (str(learned.get("manufacturer") or ""), serial[-6:]) if part)


def clients_of(learned: Mapping[str, Any], access: str) -> str:
    """The client addresses that are let in as said (``open``, ``password``)."""
    rows = learned.get("clients")
    known = [str(row.get("client")) for row in (rows if isinstance(rows, list) else ()) if row.get("access") == access]
    return ", ".join(known)


# Access data


def flat(fields: Mapping[str, Any]) -> Json:
    """The form's fields without their section."""
    return {**{key: value for key, value in fields.items() if key != CIPHERING}, **as_object(fields.get(CIPHERING))}


def folded(fields: Mapping[str, Any]) -> Json:
    """The fields as the form has them, with their section."""
    inside = {key: value for key, value in fields.items() if key in _CIPHERING_KEYS}
    return {**{key: value for key, value in fields.items() if key not in inside}, CIPHERING: inside}


def is_ciphered(connection: Mapping[str, Any]) -> bool:
    """Is there anything in the section to look at? A masked key says nothing: every meter may have one."""
    return any(connection.get(key) not in (None, "none", MASKED) for key in _CIPHERING_KEYS)


def shown_errors(errors: Mapping[str, str]) -> dict[str, str]:
    """The errors where the frontend shows them: a field in a section has no place of its own."""
    return {"base" if key in _CIPHERING_KEYS else key: error for key, error in errors.items()}


def access_errors(fields: Mapping[str, Any], connection: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the access data, by field; a secret left empty is the one already given."""
    errors = {key: "not_hex" for key in (*KEYS, "system_title") if not _is_hex(fields.get(key))}
    lengths = dict.fromkeys(KEYS, KEY_LENGTHS.get(str(fields.get("suite")), (32, 64))) | {"system_title": (16,)}
    for key, allowed in lengths.items():
        if len(_hex_digits(fields.get(key))) not in (0, *allowed):
            errors.setdefault(key, "not_hex" if key == "system_title" else "key_length")
    if fields.get("password_format") == "hex" and not _is_hex(fields.get("password")):
        errors["password"] = "not_hex"  # noqa: S105
    if fields.get("authentication") == "low" and not (fields.get("password") or connection.get("password")):
        errors["password"] = "password_missing"  # noqa: S105
    if not str(fields.get("name", "?")).strip():
        errors["name"] = "name_missing"
    client = fields.get("client") or connection.get("client") or PUBLIC_CLIENT
    if fields.get("password") and fields.get("authentication") == "automatic" and client == PUBLIC_CLIENT:
        errors.setdefault("client", "public_client")  # which takes none: a right password would be doubted
    return errors


def secret_errors(fields: Mapping[str, Any]) -> dict[str, str]:
    """The same where nothing but new secrets is asked for."""
    if not any(fields.get(key) for key in SECRET_KEYS):
        return {"base": "secret_missing"}
    return access_errors(fields, {})


def _is_hex(value: Any) -> bool:
    return re.fullmatch(r"([0-9A-Fa-f]{2})*", _hex_digits(value)) is not None


def _hex_digits(value: Any) -> str:
    return str(value or "").replace(" ", "").replace(":", "")


def with_access(connection: Mapping[str, Any], fields: Mapping[str, Any], seal: Seal, *, family: bool = False) -> Json:
    """The connection with the access data of the form; secrets are sealed here and their clear text goes no further.

    ``family``: a preset says what authentication keys are for.
    """
    result = {key: value for key, value in connection.items() if key not in PLAIN_KEYS}
    for key in PLAIN_KEYS:
        value = fields.get(key)
        if value not in (None, "", "automatic"):
            result[key] = int(value) if key in NUMBERS else value
    if any(len(_hex_digits(fields.get(key))) == 64 for key in KEYS):
        result["suite"] = 2  # no other has keys of this length
    if fields.get("authentication") == "automatic" and fields.get("password"):
        result["authentication"] = "low"  # no family says otherwise, and without it the password would not be sent
    elif fields.get("authentication") == "automatic" and all(fields.get(key) for key in KEYS) and not family:
        result["authentication"] = "gmac"  # what both keys without a password are for
    for key in SECRET_KEYS:
        if value := fields.get(key):
            as_hex = key != "password" or fields.get("password_format") == "hex"
            result[key] = seal(f"hex:{_hex_digits(value)}" if as_hex else f"text:{value}")
    return result


# What a meter sends by itself


def is_listened_to(config: Mapping[str, Any]) -> bool:
    """Does the meter only speak, as it was added here?"""
    return bool(as_object(config.get("push")).get("listen")) and normal_read(config)["set"] == "none"


def with_push_keys(connection: Mapping[str, Any], fields: Mapping[str, Any], seal: Seal) -> Json:
    """The connection with new keys of the form. An encryption key alone: nothing can prove who sends, and none asks."""
    result = with_access(connection, {key: fields.get(key) for key in KEYS}, seal)
    given = [key for key in KEYS if fields.get(key)]
    if not given:
        return {**connection}
    lone = given == ["encryption_key"]
    if lone:
        result.pop("authentication_key", None)
    unproved = {"security": "encryption", "accept_unauthenticated": True}
    kept = {key: value for key, value in result.items() if key not in unproved}
    return {**kept, **(unproved if lone else {})}


def pushed_label(row: Mapping[str, Any]) -> str:
    """How a value that came is offered: its name and what it was."""
    unit = row.get("unit") or ("(?)" if row.get("quality") == "unscaled" else "")
    value = local_time(row.get("value")) if row.get("class") == CLOCK else row.get("value")
    return f"{row.get('name') or row['key']}: {value} {unit}".rstrip()


def published(config: Mapping[str, Any], values: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that are not left out."""
    left_out = set(normal_read(config)["except"])
    return [str(row["key"]) for row in values if not {str(row["key"]), str(row["obis"])} & left_out]


def without_pushes(config: Mapping[str, Any], values: Iterable[Mapping[str, Any]], wanted: Iterable[str]) -> Json:
    """A ``read:`` block that asks for nothing and leaves out what was not ticked; what did not come stays as it was."""
    read = normal_read(config) if "read" in config else {"except": [], "also": []}
    keys = {str(row["key"]) for row in values}
    explained = keys | {str(row["obis"]) for row in values}
    kept = [item for item in read["except"] if item not in explained]
    unticked = [str(row["key"]) for row in values if str(row["key"]) not in set(wanted)]
    return {"set": "none", "except": kept + unticked, "also": read["also"]}


# What is read, and how often


def seconds(interval: Any) -> int | None:
    """``30s``, ``5m``, ``1h30m`` as seconds; None for anything else."""
    if not re.fullmatch(r"(\d+[smhd])+", str(interval)):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", str(interval)))


def reference(row: Mapping[str, Any]) -> str:
    """An object as the command line writes it, ``OBIS:ATTRIBUTE``: the same for the same object."""
    return f"{row.get('obis')}:{row.get('attribute') or 2}"


def object_label(row: Mapping[str, Any]) -> str:
    """How an object is offered: name, unit and OBIS code, short enough for a phone."""
    unit = f" [{row['unit']}]" if row.get("unit") else ""
    return f"{row.get('name') or row.get('key') or row.get('obis')}{unit} ({short_code(str(row.get('obis')))})"


def short_code(obis: str) -> str:
    """As grid operators and displays write it: ``1-0:1.8.0``; the last part where it says something."""
    return re.sub(r"^(\d+)\.(\d+)\.(\d+\.\d+\.\d+)\.(\d+)$", r"\1-\2:\3*\4", obis).removesuffix("*255")


def normal_read(config: Mapping[str, Any]) -> Json:
    """The ``read:`` block with all its parts, whatever short form it was written in."""
    read = config.get("read")
    if isinstance(read, str):
        read = {"set": read}
    if isinstance(read, list):
        read = {"set": "none", "also": read}
    read = as_object(read)
    also = [_item(row) for row in read.get("also") or ()]
    return {"set": read.get("set") or "core", "except": [str(item) for item in read.get("except") or ()], "also": also}


def _item(row: Any) -> Json:
    if isinstance(row, dict):
        return dict(row)
    match = re.fullmatch(r"(?:(\d+)/)?([^/]*?\.[^/:]*)(?::(\d+))?", str(row))
    parts = zip(("class", "obis", "attribute"), match.groups() if match else (None, str(row), None), strict=True)
    return {key: int(value) if key != "obis" else value for key, value in parts if value}


def _in_set(read: Json, row: Mapping[str, Any]) -> bool:
    return read["set"] == "all" or (read["set"] == "core" and bool(row.get("core")))


def _excepted(read: Json, row: Mapping[str, Any]) -> bool:
    return bool({str(row.get("obis")), str(row.get("key")), reference(row)} & set(read["except"]))


def chosen(read: Json, objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """The references that a normal ``read:`` block reads out of the meter's objects."""
    also = {reference(row) for row in read["also"]}
    return [
        reference(row) for row in objects if (_in_set(read, row) and not _excepted(read, row)) or reference(row) in also
    ]


def fast(read: Json) -> tuple[list[str], int | None]:
    """The references with the shortest interval of their own, and that interval."""
    timed = {reference(row): every for row in read["also"] if (every := seconds(row.get("every")))}
    shortest = min(timed.values(), default=None)
    return [name for name, every in timed.items() if every == shortest], shortest


def build_read(
    read: Json, objects: list[Json], wanted: Iterable[str], fast_wanted: Iterable[str], fast_every: int | None
) -> Json:
    """A ``read:`` block for what was ticked. What the form cannot show (transforms, names, at:) stays as it was."""
    quick = set(fast_wanted) if fast_every else set()
    ticked = set(wanted) | quick
    offered = {reference(row): row for row in objects}
    was_quick = set(fast(read)[0])
    also = []
    for row in read["also"]:
        name = reference(row)
        if name in was_quick - quick:
            row = {key: value for key, value in row.items() if key != "every"}
        if name in quick:
            row = {**row, "every": f"{fast_every}s"}
        said_by_set = name in offered and _in_set(read, offered[name]) and set(row) <= {"obis", "class", "attribute"}
        if (name in ticked and not said_by_set) or name not in offered:
            also.append(row)
    present = {reference(row) for row in also}
    for name, row in offered.items():
        if name in ticked - present and (name in quick or not _in_set(read, row)):
            item = {key: row[key] for key in ("obis", "class", "attribute") if key in row}
            also.append({**item, "every": f"{fast_every}s"} if name in quick else item)
    return {"set": read["set"], "except": _exceptions(read, objects, ticked), "also": also}


def _exceptions(read: Json, objects: list[Json], ticked: set[str]) -> list[str]:
    """What is in the set and not ticked; exceptions that no object of the meter explains stay."""
    explained = {word for row in objects for word in (str(row.get("obis")), str(row.get("key")), reference(row))}
    kept = [item for item in read["except"] if item not in explained]
    unticked = [row for row in objects if _in_set(read, row) and reference(row) not in ticked]
    return kept + [str(row.get("key") or row.get("obis")) for row in unticked]
