"""Frozen records behave as dataclasses do: the same class made by the standard library is asked the same questions."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import sys
from dataclasses import field
from typing import Any, ClassVar

import pytest

import dlms_mqtt
from dlms_mqtt import frozen
from dlms_mqtt.frozen import dataclass


class Shape:
    """What both classes state."""

    NAME: ClassVar[str] = "shape"
    first: int
    second: bytes = b""
    notes: list[str] = field(default_factory=list, compare=False)
    secret: str = field(default="", repr=False)


def stated() -> dict[str, Any]:
    body = {name: value for name, value in vars(Shape).items() if name not in ("__dict__", "__weakref__")}
    return body | {"__module__": __name__, "__annotations__": inspect.get_annotations(Shape)}


Ours: Any = dataclass(frozen=True, slots=True)(type("Kind", (), stated()))
Many: Any = dataclass(frozen=True, slots=True)(type("Kind", (), stated()))
for number in range(1000):
    Many(number)
Theirs: Any = dataclasses.dataclass(frozen=True, slots=True)(type("Kind", (), stated()))
KINDS = pytest.mark.parametrize("kind", [Ours, Many, Theirs], ids=["ours", "of many", "dataclasses"])


@dataclass(frozen=True, slots=True)
class Pair:
    """For pickle, which finds classes by name."""

    first: int
    second: bytes = b""


@dataclass(frozen=True, slots=True)
class Triple(Pair):
    """A field more."""

    third: int = 3


@KINDS
def test_values_by_place_by_name_and_by_default(kind: Any) -> None:
    for made in (kind(1, b"x"), kind(1, second=b"x"), kind(second=b"x", first=1)):
        assert (made.first, made.second, made.notes, made.secret) == (1, b"x", [], "")
    assert kind(1).notes is not kind(1).notes


@KINDS
@pytest.mark.parametrize(
    ("values", "named", "said"),
    [
        ((), {}, "missing"),
        ((1, b"", [], "", 5), {}, "takes"),
        ((1,), {"first": 2}, "multiple values for argument 'first'"),
        ((1,), {"other": 2}, "an unexpected keyword argument 'other'"),
    ],
)
def test_wrong_arguments_are_told_as_of_any_function(kind: Any, values: Any, named: Any, said: str) -> None:
    with pytest.raises(TypeError, match=rf"__init__\(\).*{said}"):
        kind(*values, **named)


@KINDS
def test_nothing_is_changed_later(kind: Any) -> None:
    made = kind(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'first'"):
        made.first = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'first'"):
        del made.first
    with pytest.raises((AttributeError, TypeError)):
        made.other = 2
    assert not hasattr(made, "__dict__")


@KINDS
def test_equal_ones_are_one_in_a_set(kind: Any) -> None:
    assert kind(1, notes=["a"]) == kind(1, notes=["b"]) != kind(2)
    assert len({kind(1, secret="s"), kind(1, secret="s"), kind(1)}) == 2 if kind.__hash__ else True
    assert kind(1) != (1, b"", [], "")


def test_another_class_with_the_same_values_is_not_equal() -> None:
    assert Ours(1) != Theirs(1)
    assert Pair(1) != Triple(1)


@KINDS
def test_it_is_shown_without_what_is_hidden(kind: Any) -> None:
    assert repr(kind(1, secret="s")) == "Kind(first=1, second=b'', notes=[])"


@KINDS
def test_the_tools_of_dataclasses_know_it(kind: Any) -> None:
    made = kind(1, secret="s")
    assert dataclasses.is_dataclass(made)
    assert [row.name for row in dataclasses.fields(kind)] == ["first", "second", "notes", "secret"]
    assert dataclasses.asdict(made) == {"first": 1, "second": b"", "notes": [], "secret": "s"}
    changed = dataclasses.replace(made, first=2)
    assert (changed.first, changed.secret) == (2, "s")
    match made:
        case kind(first, second):
            assert (first, second) == (1, b"")
    assert str(inspect.signature(kind)).startswith("(first: ")
    assert list(inspect.signature(kind).parameters) == ["first", "second", "notes", "secret"]


@pytest.mark.parametrize("made", [Pair(1, b"x"), Triple(1, b"x", 4)])
def test_it_is_copied_and_pickled(made: Pair) -> None:
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made
        assert type(again) is type(made)


def test_a_method_of_its_own_stays() -> None:
    @dataclass(frozen=True, slots=True)
    class Own:
        """With a text of its own."""

        value: int

        def __repr__(self) -> str:
            return f"<{self.value}>"

    assert repr(Own(1)) == "<1>"


def test_what_is_not_frozen_is_a_dataclass_as_ever() -> None:
    @dataclass(slots=True)
    class Open:
        """May be changed."""

        value: int

    made = Open(1)
    made.value = 2
    assert made == Open(2)


def _all_records() -> set[Any]:
    """Of every module that can be imported here."""
    for module in pkgutil.walk_packages(dlms_mqtt.__path__, "dlms_mqtt."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    ours = [module for name, module in sys.modules.items() if name.startswith("dlms_mqtt.")]
    classes = {value for module in ours for value in vars(module).values() if isinstance(value, type)}
    return {kind for kind in classes if kind.__init__ is frozen._init}


@pytest.mark.slow_once
def test_an_init_can_be_written_for_every_record_of_ours() -> None:
    records = _all_records()
    assert len(records) > 100
    for kind in records:
        assert list(inspect.signature(frozen._written_init(kind)).parameters) == ["self", *kind.__match_args__], kind


def test_one_that_makes_itself_goes_on_doing_so() -> None:
    class Sum(Pair):
        """Made of two numbers."""

        __slots__ = ()

        def __init__(self, one: int, other: int) -> None:
            super().__init__(one + other)

    assert {Sum(number, 1).first for number in range(1000)} == set(range(1, 1001))
    assert Pair(1).second == b""
