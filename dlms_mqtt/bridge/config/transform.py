"""``transform``: an arithmetic expression of ``value`` and nothing more, computed in decimal."""

from __future__ import annotations

from decimal import Decimal

from dlms_mqtt.bridge.config.expression import Expression, parse_expression
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Transform:
    """A compiled expression of one value; two are equal when their texts are."""

    expression: Expression

    def __call__(self, value: Decimal) -> Decimal:
        """ConfigError when it cannot be computed for this value."""
        return self.expression({"value": value})


def parse_transform(text: object) -> Transform:
    """Compile ``"value / 1000"``; ConfigError when it is anything but arithmetic of ``value``."""
    try:
        expression = parse_expression(text)
    except ConfigError:
        expression = None
    if expression is None or expression.names - {"value"}:
        raise ConfigError(f"expected arithmetic of 'value' such as value / 1000, not {text!r}")
    return Transform(expression)
