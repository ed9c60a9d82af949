"""``transform``: an arithmetic expression of ``value`` and nothing more, computed in decimal."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException

from dlms_mqtt.errors import ConfigError

Compute = Callable[[Decimal], Decimal]

_BINARY: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Decimal], Decimal]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


@dataclass(frozen=True, slots=True)
class Transform:
    """A compiled expression; two are equal when their texts are."""

    text: str
    compute: Compute = field(compare=False, repr=False)

    def __call__(self, value: Decimal) -> Decimal:
        """ConfigError when it cannot be computed for this value."""
        return self.compute(value)


def parse_transform(text: object) -> Transform:
    """Compile ``"value / 1000"``; ConfigError when it is anything but arithmetic of ``value``."""
    try:
        expression = str(text).strip()
        return Transform(expression, _compile(ast.parse(expression, mode="eval").body, expression))
    except (SyntaxError, ValueError, RecursionError, MemoryError, DecimalException):
        raise ConfigError(f"expected arithmetic of 'value' such as value / 1000, not {text!r}") from None


def _compile(node: ast.expr, text: str) -> Compute:
    match node:
        case ast.Name(id="value"):
            return lambda value: value
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            constant = Decimal(ast.get_source_segment(text, node) or number)
            return lambda value: constant
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            apply, inner = _UNARY[type(sign)], _compile(operand, text)
            return lambda value: apply(inner(value))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _binary(_BINARY[type(sign)], _compile(left, text), _compile(right, text))
    raise ValueError(text)


def _binary(apply: Callable[[Decimal, Decimal], Decimal], left: Compute, right: Compute) -> Compute:
    def compute(value: Decimal) -> Decimal:
        try:
            return apply(left(value), right(value))
        except DecimalException as error:
            raise ConfigError(f"the transform cannot be computed for {value}: {type(error).__name__}") from None

    return compute
