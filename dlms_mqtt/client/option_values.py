"""How text or YAML becomes the value of a connection option: one function for each kind, ConfigError for nonsense."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.times import parse_duration

Parse = Callable[[Any], Any]
_Parse = TypeVar("_Parse", bound=Parse)


def _takes(**schema: Any) -> Callable[[_Parse], _Parse]:
    """What a JSON schema says of the values that a function reads, kept with it."""

    def keep(parse: _Parse) -> _Parse:
        parse.schema = schema  # type: ignore[attr-defined]
        return parse

    return keep


def parse_secret(value: Any) -> Secret:
    """``text:``, ``hex:``, ``env:NAME`` or ``file:PATH``; never a bare word, so hex and text cannot be mistaken."""
    if isinstance(value, Secret):
        return value
    kind, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    reader = SECRET_KINDS.get(kind)
    if not colon or reader is None:
        raise ConfigError("a secret must say what it is", hint="Write text:..., hex:..., env:NAME or file:PATH.")
    return reader(rest)


def _secret_hex(text: str) -> Secret:
    try:
        return Secret(bytes.fromhex(text))
    except ValueError:
        raise ConfigError(
            "a hex: secret must be pairs of hexadecimal digits", hint=f"It has {len(text)} characters."
        ) from None


def _secret_env(name: str) -> Secret:
    if name not in os.environ:
        # The name is not shown: with `env:$PASSWORD` the shell puts the password itself there.
        raise ConfigError(
            "the environment variable of this secret is not set",
            hint="After env: comes the name of a variable, without $; its value is text:... or hex:...",
        )
    return _nested_secret(os.environ[name])


def _secret_file(name: str) -> Secret:
    from pathlib import Path  # few connections have one, and the import takes a while

    try:
        return _nested_secret(Path(name).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the file of this secret cannot be read: {getattr(error, 'strerror', None) or 'not text'}",
            hint="After file: comes the path of a file that holds text:... or hex:...",
        ) from None


def _nested_secret(text: str) -> Secret:
    kind = text.partition(":")[0]
    return parse_secret(text) if kind in ("text", "hex") else Secret(text.encode())


#: How a secret is written -> what it is: the word before the colon.
SECRET_KINDS: dict[str, Callable[[str], Secret]] = {
    "text": lambda text: Secret(text.encode()),
    "hex": _secret_hex,
    "env": _secret_env,
    "file": _secret_file,
}


def parse_int(low: int, high: int) -> Parse:
    """A whole number from ``low`` to ``high``, in decimal or 0x form."""

    @_takes(type="integer", minimum=low, maximum=high)
    def parse(value: Any) -> int:
        try:
            number = int(value, 0) if isinstance(value, str) else value
        except ValueError:
            number = None
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise ConfigError(f"expected a whole number from {low} to {high}, not {value!r}")
        return number

    return parse


@_takes(type=["number", "string"], format="seconds")
def parse_seconds(value: Any) -> float:
    """Seconds below a day, with or without a unit: ``5``, ``0.2``, ``500ms``, ``5s``, ``1m30s``."""
    try:
        seconds = parse_duration(str(value).strip(), bare=True)
    except ConfigError:
        seconds = -1.0
    if not 0 <= seconds < 86400:
        raise ConfigError(f"expected seconds such as 5 or 0.5, not {value!r}")
    return seconds


@_takes(type=["number", "string"], format="seconds")
def parse_patience(value: Any) -> float:
    """How long to wait for something: seconds above 0, below a day."""
    seconds = parse_seconds(value)
    if not seconds:
        raise ConfigError(f"expected seconds above 0, such as 5 or 0.5, not {value!r}: nothing would ever be in time")
    return seconds


def parse_hex(*lengths: int) -> Parse:
    """Octets in hexadecimal; of one of the given lengths, where some are given."""

    @_takes(type=["string", "integer"], format="hex")
    def parse(value: Any) -> bytes:
        try:
            octets = value if isinstance(value, bytes) else bytes.fromhex(str(value))
        except ValueError:
            raise ConfigError(f"expected hexadecimal octets, not {value!r}") from None
        if lengths and len(octets) not in lengths:
            raise ConfigError(f"expected {' or '.join(map(str, lengths))} octets in hexadecimal, got {len(octets)}")
        return octets

    return parse


def parse_choice(*choices: str) -> Parse:
    """One of the given words."""

    @_takes(enum=list(choices))
    def parse(value: Any) -> str:
        if value not in choices:
            raise ConfigError(f"expected one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return parse


@_takes(type="boolean")
def parse_bool(value: Any) -> bool:
    """true or false (also on, off, yes, no)."""
    words = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in words:
        raise ConfigError(f"expected true or false, not {value!r}")
    return words[str(value).lower()]


@_takes(type="string", format="address")
def parse_host(value: Any) -> tuple[str, int]:
    """``HOST:PORT``; the port is 4059 (IANA: dlms-cosem) when left out."""
    from dlms_mqtt.transport.base import parse_address  # which brings asyncio: a fifth of the start of `decode`

    return parse_address(str(value))


@_takes(type="string")
def parse_bind(value: Any) -> str:
    """``tcp://ADDR:PORT`` of ours."""
    from dlms_mqtt.transport.listen import listen_address

    if value and listen_address(str(value))[0] != "tcp":
        raise ConfigError(f"'{value}' is no address where meters connect", hint="Write tcp://0.0.0.0:4059.")
    return str(value or "")


@_takes(type=["string", "integer"])
def parse_counter(value: Any) -> int | Obis | None:
    """``auto``, a number, or the OBIS code of the meter's counter object. None is auto."""
    if value is None or value == "auto":
        return None
    if isinstance(value, Obis):
        return value
    text = str(value)
    return Obis.parse(text) if "." in text or len(text) == 12 else int(parse_int(0, 0xFFFFFFFF)(text))


def parse_names(value: Any) -> tuple[str, ...]:
    """Names separated by commas, or a list of them."""
    names = value if isinstance(value, list | tuple) else str(value).split(",")
    return tuple(str(name).strip() for name in names if str(name).strip())


@_takes(type=["array", "string"], items={"type": "string"})
def parse_services(value: Any) -> tuple[str, ...]:
    """Names of conformance bits."""
    names = parse_names(value)
    Conformance.from_names(names)
    return names


@_takes(type="string")
def parse_obis(value: Any) -> Obis:
    """An OBIS code in any spelling."""
    return value if isinstance(value, Obis) else Obis.parse(str(value))
