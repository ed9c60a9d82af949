from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.bridge.meters.pushes.twins import Twins


@given(st.lists(st.sampled_from("abc"), max_size=30), st.data())
def test_what_two_ears_hear_counts_once(said: str, data: st.DataObject) -> None:
    """Whichever ear is first, and however often the same is said."""
    twins, counted = Twins(), []
    for word in said:
        for ear in data.draw(st.permutations(["line", "client"])):
            counted += [word] if twins.is_new(ear, word) else []
    assert counted == list(said)


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_what_one_ear_hears_counts_each_time(said: str) -> None:
    twins = Twins()
    assert all(itertools.starmap(twins.is_new, (("line", word) for word in said)))
