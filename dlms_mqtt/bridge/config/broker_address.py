"""``mqtt.host`` in the spellings that people use: a name, an address, ``host:port``, ``[::1]:1883``, ``mqtts://host``."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

import voluptuous as vol

# scheme -> the keys that it stands for
_SCHEMES: dict[str, dict[str, Any]] = {
    "mqtt": {},
    "tcp": {},
    "mqtts": {"tls": {}},
    "ssl": {"tls": {}},
    "tls": {"tls": {}},
    "ws": {"transport": "websockets"},
    "wss": {"transport": "websockets", "tls": {}},
}
_LABEL = "(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_DIGITS = re.compile(r"(^|\.)\d+\.?$")  # how no name ends: a mistyped address, or a port alone


def _mistake(sentence: str, key: str = "host") -> vol.MultipleInvalid:
    return vol.MultipleInvalid([vol.Invalid(sentence, path=[key])])


def broker_of(mqtt: Any) -> Any:
    """The ``mqtt`` section with host, port and whatever else its ``host`` says in keys of their own."""
    host = mqtt.get("host") if isinstance(mqtt, dict) else None
    if not isinstance(host, str):
        return mqtt
    text = host.strip()
    found = _of_url(text) if "://" in text else _of_text(text)
    for key in ("port", "transport", "websocket_path"):
        if key in found and mqtt.get(key) not in (None, 0, found[key]):
            raise _mistake(f"the host says {found[key]!r} and {key} says {mqtt[key]!r}; leave one of them out", key)
    if mqtt.get("tls") is not None:
        found.pop("tls", None)
    return {**mqtt, **found}


def _of_url(text: str) -> dict[str, Any]:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise _mistake(f"{text!r} is no address of a broker: {error}") from None
    if url.scheme not in _SCHEMES:
        raise _mistake(
            f"expected {', '.join(f'{scheme}://' for scheme in _SCHEMES)} or a host alone, not {url.scheme}://"
        )
    if url.username or url.password:
        raise _mistake("user name and password have keys of their own: mqtt.username and mqtt.password")
    host = (url.hostname or "").replace("%25", "%")  # of the zone in [fe80::1%25eth0]
    return {"host": _host(host), **_port(None if port is None else str(port)), **_SCHEMES[url.scheme], **_path(url)}


def _path(url: SplitResult) -> dict[str, Any]:
    path = url.path + (f"?{url.query}" if url.query else "")
    if path in ("", "/"):
        return {}
    if "transport" not in _SCHEMES[url.scheme]:
        raise _mistake(f"a broker has no path: leave {path!r} out")
    return {"websocket_path": path if path.startswith("/") else f"/{path}"}


def _of_text(text: str) -> dict[str, Any]:
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::(\d+))?", text)
    if bracketed:
        return {"host": _host(bracketed[1]), **_port(bracketed[2])}
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        if not port.isdecimal():
            raise _mistake(f"expected HOST or HOST:PORT, not {text!r}")
        return {"host": _host(host), **_port(port)}
    return {"host": _host(text)}


def _port(text: str | None) -> dict[str, int]:
    if text is None:
        return {}
    if not 1 <= int(text) <= 65535:
        raise _mistake(f"expected a port from 1 to 65535, not {text}")
    return {"port": int(text)}


def _host(text: str) -> str:
    if not text:
        raise _mistake("expected the name or address of the broker, not an empty text")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _NAME.fullmatch(text) or len(text) > 253 or _DIGITS.search(text):
            raise _mistake(f"{text!r} is no name or address of a host") from None
    return text
