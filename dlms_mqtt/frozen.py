"""Frozen dataclasses that share their methods, for the many small records that every start of the program makes.

``dataclasses`` writes, compiles and runs six functions for each class: a millisecond of a desktop, five of a Raspberry
Pi, and half of what importing the client took. Here the fields are its own, and the methods are written once. A class
of which very many are made (the objects of a list, frames) gets an ``__init__`` of its own after all, when that pays.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import MISSING, FrozenInstanceError
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

RecordT = TypeVar("RecordT")

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # type checkers see no difference
else:
    from collections.abc import Callable

    def dataclass(*, frozen: bool = False, slots: bool) -> Callable[[type], type]:
        """``dataclasses.dataclass``; frozen ones without ``kw_only`` and ``__post_init__``."""
        return _made if frozen else dataclasses.dataclass(slots=slots)


_set = object.__setattr__
_fields: Any = cache(dataclasses.fields)  # records are made by the thousand


_made_so_far: Counter[type] = Counter()
_MANY = 300  # records of a class; for fewer it costs more to write a function than to do without


def _init(self: Any, *values: Any, **named: Any) -> None:
    kind, names = type(self), self.__match_args__
    _made_so_far[kind] += 1
    if _made_so_far[kind] == _MANY and kind.__init__ is _init:
        kind.__init__ = _written_init(kind)
    if named or len(values) != len(names):
        values = _completed(kind, values, named)
    for name, value in zip(names, values, strict=True):
        _set(self, name, value)


def _written_init(kind: Any) -> Any:
    """The ``__init__`` that ``dataclasses`` would have written."""
    known: dict[str, Any] = {"_unset": MISSING}
    parameters, body = [], []
    for row in _fields(kind):
        name = row.name
        known |= {f"_set_{name}": getattr(kind, name).__set__, f"_default_{name}": row.default_factory}
        value, default = name, "" if _needed(row) else f"=_default_{name}"
        if row.default is not MISSING:
            known[f"_default_{name}"] = row.default
        elif default:
            value, default = f"_default_{name}() if {name} is _unset else {name}", "=_unset"
        parameters.append(name + default)
        body.append(f"    _set_{name}(self, {value})")
    lines = [f"def __init__(self, {', '.join(parameters)}):", *body, "    pass"]
    exec("\n".join(lines), known)  # noqa: S102 - of names that are identifiers of ours
    known["__init__"].__qualname__ = f"{kind.__qualname__}.__init__"
    return known["__init__"]


def _completed(kind: Any, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """The values of all fields in order; TypeError as of any function."""
    rest = _fields(kind)[len(values) :]
    if named or not rest:
        _check(kind, len(values), named)
    return *values, *[named[row.name] if row.name in named else _default(kind, row) for row in rest]


def _check(kind: Any, placed: int, named: dict[str, Any]) -> None:
    names = kind.__match_args__
    if placed > len(names):
        raise TypeError(f"{kind.__name__}.__init__() takes {len(names)} arguments but {placed} were given")
    for name in named:
        if name not in names[placed:]:
            fault = "multiple values for" if name in names else "an unexpected keyword"
            raise TypeError(f"{kind.__name__}.__init__() got {fault} argument '{name}'")


def _default(kind: Any, field: Any) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    raise TypeError(f"{kind.__name__}.__init__() missing argument '{field.name}'")


def _setattr(self: Any, name: str, _: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, field.name) for field in _fields(type(self)) if field.compare])


def _eq(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _repr(self: Any) -> str:
    shown = [f"{field.name}={getattr(self, field.name)!r}" for field in _fields(type(self)) if field.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _reduce(self: Any) -> tuple[Any, ...]:
    return type(self), tuple([getattr(self, name) for name in self.__match_args__])


class _Signature:
    """What ``help`` and ``inspect.signature`` show; made when asked for."""

    def __get__(self, _: object, kind: Any) -> Any:
        from inspect import Parameter, Signature

        return Signature(
            [
                Parameter(
                    field.name,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if _needed(field) else _default(kind, field),
                    annotation=field.type,
                )
                for field in _fields(kind)
            ]
        )


def _needed(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


_SHARED = {
    "__init__": _init,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__repr__": _repr,
    "__reduce__": _reduce,
    "__signature__": _Signature(),
}


def _made(kind: type) -> type:
    own = vars(kind).keys()
    made: type = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    for name, method in _SHARED.items():
        if name not in own:
            setattr(made, name, method)
    return made


def replace(record: RecordT, **changes: Any) -> RecordT:
    """``dataclasses.replace`` for records of this module, at half its price."""
    names = record.__match_args__  # type: ignore[attr-defined]
    return type(record)(*[changes.pop(name) if name in changes else getattr(record, name) for name in names], **changes)
