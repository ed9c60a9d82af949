"""Arithmetic that users write, and nothing more: compiled once, computed in decimal (``transform``, ``derive``)."""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import field
from decimal import Decimal, DecimalException, Overflow
from functools import partial

from dlms_mqtt.bridge.api.payload import is_too_long
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass

Values = Mapping[str, Decimal]
Compute = Callable[[Values], Decimal]

_BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Decimal], Decimal]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}

_DEEPEST = 200  # signs and functions inside each other: computing must never be deeper than the interpreter allows


def _sign(value: Decimal) -> Decimal:
    return Decimal((value > 0) - (value < 0))


# Functions, and how many values they take at least and at most.
_FUNCTIONS: dict[str, tuple[Callable[..., Decimal], int, int]] = {
    "abs": (abs, 1, 1),
    "sign": (_sign, 1, 1),
    "min": (min, 2, 20),
    "max": (max, 2, 20),
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression and the names in it; two are equal when their texts are.

    ``meter.key`` is a name too; ids of meters have hyphens, which are written as underscores here.
    """

    text: str
    names: frozenset[str] = field(compare=False)
    compute: Compute = field(compare=False, repr=False)

    def __call__(self, values: Values) -> Decimal:
        """ConfigError when it cannot be computed for these values."""
        try:
            result = self.compute(values)
            if is_too_long(result):
                raise Overflow
        except DecimalException as error:
            given = ", ".join(f"{name} = {values[name]}" for name in sorted(self.names))
            raise ConfigError(f"{self.text} cannot be computed for {given}: {type(error).__name__}") from None
        return result


def parse_expression(text: object) -> Expression:
    """Compile ``"current_l1 * sign(power_l1)"``; ConfigError when it is anything but arithmetic."""
    try:
        expression = str(text).strip()
        names: set[str] = set()
        compute = _compile(_tree(expression), expression, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError, DecimalException):
        raise ConfigError(f"expected arithmetic such as energy_import - energy_export, not {text!r}") from None
    return Expression(expression, frozenset(names), compute)


def _tree(expression: str) -> ast.expr:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's doubts (``1or``, a number that is called) are no arithmetic anyway
        return ast.parse(expression, mode="eval").body


def _compile(node: ast.expr, text: str, names: set[str], depth: int = 0) -> Compute:
    if depth > _DEEPEST:
        raise ConfigError(f"more than {_DEEPEST} steps inside each other: write a part of it as a value of its own")
    deeper = partial(_compile, text=text, names=names, depth=depth + 1)
    match node:
        case ast.Name(id=name):
            names.add(name)
            return operator.itemgetter(name)
        case ast.Attribute(value=ast.Name(id=meter), attr=key):
            names.add(name := f"{meter.replace('_', '-')}.{key}")
            return operator.itemgetter(name)
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            constant = Decimal(ast.get_source_segment(text, node) or number)
            return lambda values: constant
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            return _applied(_UNARY[type(sign)], [deeper(operand)])
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _applied(_BINARY[type(sign)], [deeper(left), deeper(right)])
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            function, least, most = _FUNCTIONS[name]
            if least <= len(arguments) <= most:
                return _applied(function, [deeper(each) for each in arguments])
    raise ValueError(text)


def _applied(function: Callable[..., Decimal], parts: list[Compute]) -> Compute:
    return lambda values: function(*(part(values) for part in parts))
