"""Arithmetic of keys: exact, with four functions, and nothing that is more than arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dlms_mqtt.bridge.config.expression import parse_expression
from dlms_mqtt.errors import ConfigError

VALUES = {"a": Decimal("0.1"), "b": Decimal("0.2"), "zero": Decimal(0)}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a + b", "0.3"),
        ("a - b", "-0.1"),
        ("a + b * 2", "0.5"),
        ("-a * 3", "-0.3"),
        ("+b / 4", "0.05"),
        ("7 // 2", "3"),
        ("7 % 4", "3"),
        ("(a + b) * 10", "3.0"),
        ("abs(a - b)", "0.1"),
        ("sign(a - b) + sign(zero) + sign(b)", "0"),
        ("min(a, b, 0.05)", "0.05"),
        ("max(a, b)", "0.2"),
        ("1e3 * a", "100"),
        ("0.1 * 3", "0.3"),
    ],
)
def test_results_are_exact(text: str, result: str) -> None:
    assert parse_expression(text)(VALUES) == Decimal(result)


def test_names_are_known() -> None:
    assert parse_expression(" a * sign(b) + a ").names == {"a", "b"}
    assert parse_expression("1 + 2").names == set()
    other = parse_expression("a - main_house.a")
    assert other.names == {"a", "main-house.a"} and other({"a": Decimal(5), "main-house.a": Decimal(2)}) == 3
    assert parse_expression("a+b") == parse_expression(" a+b ")


@pytest.mark.parametrize(
    "text",
    [
        "", "a +", "a b", "a.b.c", "a().b", "a.b()", "a.1", "a[0]", "f(a)",
        "abs(a, b)", "min(a)", "max(*a)", "abs(x=a)", "a if b else c",
        "a < b",
        "a and b", "'a'", "True", "lambda: 1", "a ** b", "__import__('os')", "a := 1", "1j",
        "(" * 500 + "a" + ")" * 500,
        None, "a\nb", "a; b", "not a", "~a", "[a]", "f'{a}'", "1or a", "1(2)",
    ],
)  # fmt: skip
def test_nothing_but_arithmetic(text: object) -> None:
    with pytest.raises(ConfigError, match="expected arithmetic"):
        parse_expression(text)


@pytest.mark.parametrize(
    "text", ["b * 1e9999", "b / 1e9999", "b * 1e999999", "1e999999999", "zero * 1e-99999", "max(b, 1e401)"]
)
def test_a_result_that_is_megabytes_of_digits_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="Overflow"):
        parse_expression(text)(VALUES)


def test_a_result_as_large_as_a_float_may_be() -> None:
    assert parse_expression("b * 1e308")(VALUES) == Decimal("2e307")


@pytest.mark.parametrize("text", ["a / zero", "a // zero", "a % zero"])
def test_what_cannot_be_computed_is_told_with_its_values(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be computed for a = 0\.1, zero = 0"):
        parse_expression(text)(VALUES)


def test_what_is_not_refused_can_be_computed() -> None:
    """Wherever in the bridge: the interpreter's stack is not used up (a poll ended with a traceback)."""
    assert parse_expression("a" + " + a" * 200)(VALUES) == Decimal("20.1")
    for text in ("a" + " + a" * 201, "-" * 201 + "a", "a" + "*(a" * 150 + " + a" * 60 + ")" * 150):
        with pytest.raises(ConfigError, match="more than 200 steps"):
            parse_expression(text)


def test_python_prints_no_doubts_of_its_own(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ConfigError, match="expected arithmetic"):
        parse_expression("1or a")
    assert not recwarn.list
