"""How a list is cut: nothing lost, nothing doubled, in order, within what one turn carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.services.planner import QUESTION, Limits, halves, limits, plan
from dlms_mqtt.protocol.framing.link import LinkParameters

SIZES = st.lists(st.tuples(st.integers(1, 60), st.none() | st.integers(1, 200)), max_size=40)


def test_limits_are_the_smaller_of_window_and_message() -> None:
    link = LinkParameters(128, 256, 1, 2)
    assert limits(link, 500, 600, 0) == Limits(125, 509)
    assert limits(link, 100, 400, 31) == Limits(69, 369)
    assert limits(None, 0, 0, 0) == Limits(0xFFFF, 0xFFFF)
    assert limits(None, 0, 1224, 22) == Limits(0xFFFF - 22, 1202)


@given(SIZES, st.integers(10, 300), st.integers(10, 300), st.integers(1, 20))
def test_every_item_once_in_order_within_the_limits(
    sizes: list[tuple[int, int | None]], question: int, answer: int, most: int
) -> None:
    groups = plan(sizes, Limits(question, answer), most)
    assert [index for group in groups for index in group] == list(range(len(sizes)))
    for group in groups:
        assert 1 <= len(group) <= most
        if len(group) > 1:  # one alone may be larger than any turn
            assert 4 + sum(sizes[index][0] for index in group) <= question
            assert 4 + sum(8 if sizes[index][1] is None else sizes[index][1] or 0 for index in group) <= answer


def test_a_list_that_fits_is_not_cut() -> None:
    sizes: list[tuple[int, int | None]] = [(QUESTION, 6)] * 12
    assert plan(sizes, Limits(125, 125), 32) == [list(range(12))]
    assert plan(sizes, Limits(125, 125), 5) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert [len(group) for group in plan(sizes, Limits(124, 200), 32)] == [12]
    assert [len(group) for group in plan(sizes, Limits(123, 200), 32)] == [11, 1]
    assert plan([], Limits(125, 125), 32) == []


@pytest.mark.parametrize(("items", "parts"), [([], []), ([5], [[5]]), ([1, 2], [[1], [2]]), ([1, 2, 3], [[1, 2], [3]])])
def test_halves(items: list[int], parts: list[list[int]]) -> None:
    assert halves(items) == parts
