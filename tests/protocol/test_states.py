"""The table of the conversation: every cell by a message of its kind, and what is illegal."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.acse.messages import Aarq, Rlrq
from dlms_mqtt.protocol.apdu import action, get
from dlms_mqtt.protocol.apdu import set as set_
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError, ExceptionResponse
from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.apdu.short_name import ReadRequest, UnconfirmedWriteRequest
from dlms_mqtt.protocol.states import ANY_TIME, RULES, State, next_state

ASKED = [State.GET, State.SET, State.SET_BLOCK, State.ACTION, State.ACTION_BLOCK, State.READ, State.WRITE, State.ACCESS]


def bare(kind: type, last: bool = True) -> object:
    """A message of this kind with nothing but what the table looks at."""
    message = object.__new__(kind)
    if "last" in getattr(kind, "__match_args__", ()):
        object.__setattr__(message, "last", last)
    return message


CELLS = [(state, kind, cell) for state, row in RULES.items() for kind, cell in row.items()]


@pytest.mark.parametrize(("state", "kind", "cell"), CELLS, ids=lambda value: getattr(value, "__name__", None))
def test_every_cell(state: State, kind: type, cell: object) -> None:
    if isinstance(cell, tuple):
        assert (next_state(state, bare(kind, last=False)), next_state(state, bare(kind))) == cell
    else:
        assert next_state(state, bare(kind)) is cell


def test_every_state_has_a_row_and_can_be_left() -> None:
    assert set(RULES) == set(State)
    reached = {target for _, _, cell in CELLS for target in (cell if isinstance(cell, tuple) else (cell,))}
    assert set(State) - reached == {State.NO_LINK}, "only the link leads to no link"
    assert all(RULES[state] for state in State if state is not State.NO_LINK)


@pytest.mark.parametrize("state", ASKED)
def test_a_request_may_be_refused_as_a_whole(state: State) -> None:
    assert next_state(state, ExceptionResponse(1, 1)) is State.READY
    assert next_state(state, ConfirmedServiceError(1, 0, 0)) is State.READY


@pytest.mark.parametrize("state", State)
def test_a_push_moves_nothing(state: State) -> None:
    assert next_state(state, DataNotification(1, None, b"\x00")) is state
    assert DataNotification in ANY_TIME


@pytest.mark.parametrize("state", [State.GET_BLOCKS, State.SET_BLOCKS, State.ACTION_BLOCKS, State.ACTION_ANSWER])
def test_an_exchange_that_was_given_up_is_no_obstacle(state: State) -> None:
    assert next_state(state, bare(get.GetRequestNormal)) is State.GET
    assert next_state(state, bare(Rlrq)) is State.RELEASING


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (State.NO_LINK, Aarq),
        (State.NO_ASSOCIATION, get.GetRequestNormal),
        (State.READY, get.GetResponseNormal),
        (State.GET, get.GetRequestNormal),
        (State.GET, set_.SetResponseNormal),
        (State.ACTION, get.GetResponseNormal),
        (State.SET_BLOCK, set_.SetRequestBlock),
        (State.RELEASING, action.ActionRequestNormal),
        (State.READ, ReadRequest),
    ],
)
def test_what_is_illegal(state: State, kind: type) -> None:
    assert next_state(state, bare(kind)) is None


def test_an_unconfirmed_write_waits_for_nothing() -> None:
    assert next_state(State.READY, bare(UnconfirmedWriteRequest)) is State.READY
