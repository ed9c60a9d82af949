"""Writes docs/api.md out of the docstrings: ``python -m tests.library.reference > docs/api.md``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import dlms_mqtt
from dlms_mqtt.client.settings import ConnectionSettings

HEAD = """# The public names

Made from the docstrings by `python -m tests.library.reference > docs/api.md`. What is not here is private;
[the library](library.md) shows these names at work.
"""
MODULES = ("dlms_mqtt.client", "dlms_mqtt.protocol", "dlms_mqtt.simulator")


def page() -> str:
    """The whole page."""
    parts = [HEAD, "\n## dlms_mqtt\n", *(_name(dlms_mqtt, name) for name in sorted(dlms_mqtt.__all__, key=str.lower))]
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        parts.append(f"\n## {module_name}\n\n{_text(module)}\n")
        parts += [_short(module, name) for name in sorted(module.__all__, key=str.lower)]
    return "".join(parts).rstrip() + "\n"


def _text(item: Any) -> str:
    """Its docstring, as Markdown."""
    return (inspect.getdoc(item) or "").replace("``", "`")


def _name(module: Any, name: str) -> str:
    item = getattr(module, name)
    if not inspect.isclass(item):
        return f"\n### {name}\n\n{_code(item, name)}{_text(item)}\n"
    head = "" if name == "Connection" or issubclass(item, Exception) else _code(item, name)
    members = "".join(_members(item))
    return f"\n### {name}\n\n{head}{_text(item)}\n{_keywords() if name == 'Connection' else members}"


def _keywords() -> str:
    """What each connection key means, as the configuration has it."""
    rows = [
        f"| `{row.name}` | {row.metadata['help']} |".replace("on|off", "on/off") for row in fields(ConnectionSettings)
    ]
    return "\n".join(["\n| keyword | what |", "|---|---|", *rows]) + "\n"


def _members(item: type) -> Iterator[str]:
    """Methods and properties that are its own, or of a base of ours."""
    for name in dict.fromkeys(name for kind in item.__mro__ if _ours(kind) for name in vars(kind)):
        member = inspect.getattr_static(item, name)
        text = _text(getattr(item, name, None) if not isinstance(member, property) else member)
        if name.startswith("_") or not text or inspect.ismemberdescriptor(member) or type(member).__name__ == "member":
            continue
        if isinstance(member, property):
            yield f"\n- `{name}`: {_flat(text)}\n"
        elif callable(getattr(item, name)):
            yield f"\n- `{_signature(getattr(item, name), name)}`: {_flat(text)}\n"


def _ours(kind: type) -> bool:
    return kind.__module__.startswith("dlms_mqtt")


def _flat(text: str) -> str:
    return " ".join(text.split())


def _code(item: Any, name: str) -> str:
    try:
        return f"```\n{_signature(item, name)}\n```\n\n"
    except ValueError:
        return ""


def _signature(item: Any, name: str) -> str:
    text = f"{'async ' if inspect.iscoroutinefunction(item) else ''}{name}{_parameters(item)}"
    return re.sub(r"\(self, ", "(", text).replace("(self)", "()")


def _parameters(item: Any) -> str:
    """As written, but for defaults that only Python could read."""
    found = inspect.signature(item)
    shown = [
        parameter.replace(default=...) if repr(parameter.default).startswith("<") and _given(parameter) else parameter
        for parameter in found.parameters.values()
    ]
    return re.sub(
        r"'([^']*)'",
        lambda match: match[0] if match[1] in _LITERALS else match[1],
        str(found.replace(parameters=shown)),
    )


def _given(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


_LITERALS = {"auto", "none", "even", "odd", "wrapper", "hdlc", ""}


def _short(module: Any, name: str) -> str:
    item = getattr(module, name)
    if isinstance(item, type) or inspect.isroutine(item):
        return f"\n- `{name}`: {_flat(_text(item))}\n"
    return f"\n- `{name}`\n"


if __name__ == "__main__":
    sys.stdout.write(page())
