"""Result codes: those of the standard, those that nobody knows, and lists of answers joined from blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.protocol.apdu.results import (
    ActionResult,
    DataAccessResult,
    code_text,
    decode_results,
    decode_results_with_rest,
    encode_results,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType

ANSWERS = st.one_of(
    st.integers(0, 255).map(DataAccessResult.of),
    st.integers(0, 0xFFFF).map(lambda number: Data(DataType.LONG_UNSIGNED, number)),
    st.binary(max_size=20).map(lambda octets: Data(DataType.OCTET_STRING, octets)),
)


@pytest.mark.parametrize(
    ("code", "text"),
    [(0, "success"), (3, "read-write-denied"), (9, "object-class-inconsistent"), (250, "other-reason")],
)
def test_words_of_the_standard(code: int, text: str) -> None:
    assert code_text(DataAccessResult.of(code)) == code_text(ActionResult.of(code)) == text


def test_services_have_codes_of_their_own() -> None:
    assert code_text(DataAccessResult.of(15)) == "long-get-aborted"
    assert code_text(ActionResult.of(15)) == "long-action-aborted"


def test_a_code_that_nobody_knows_stays_a_number() -> None:
    assert DataAccessResult.of(77) == 77
    assert "77" in code_text(DataAccessResult.of(77))


@given(st.lists(ANSWERS, max_size=20).map(tuple), st.binary(max_size=3))
def test_lists_go_round(answers: tuple[Data | DataAccessResult, ...], behind: bytes) -> None:
    octets = encode_results(answers)
    assert decode_results(octets) == answers
    assert decode_results_with_rest(octets + behind) == (answers, behind)
    for cut in range(len(octets)):
        with pytest.raises(DecodeError):
            decode_results(octets[:cut])


def test_a_choice_that_is_none() -> None:
    with pytest.raises(DecodeError, match="get-data-result"):
        decode_results(bytes.fromhex("01 02 00"))
