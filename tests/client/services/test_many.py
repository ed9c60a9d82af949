"""Many attributes in few questions: refused, spoiled and silent lists, single ones that fail, a meter that is gone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from dlms_mqtt.client.services.logical_names import WrongList
from dlms_mqtt.client.services.many import ManyReader
from dlms_mqtt.client.services.memory import Memory
from dlms_mqtt.errors import (
    AccessRefused,
    AssociationRefused,
    AttributeFailed,
    ConnectFailed,
    ConnectionLost,
    DecodeError,
    DlmsMqttError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    SecurityError,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.transport.memory import memory_pair
from tests.client.our_meter import OurMeter
from tests.client.some_objects import attribute

NAME = attribute(1, "0.0.42.0.0.255")
TIME = attribute(8, "0.0.1.0.0.255")


@pytest.mark.parametrize("how", ["exception", "error"])
async def test_meters_that_refuse_lists_are_remembered(clock: object, how: str) -> None:
    async with OurMeter(f"refuse-lists:{how}") as meter, meter.client() as client:
        assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME, NAME]))
        lists = meter.times(b"\xc0\x03")
        await client.get_many([NAME, TIME])
        assert meter.times(b"\xc0\x03") == lists
        assert client.memory.max_list == 1


async def test_a_list_without_an_answer_is_not_asked_for_twice(clock: object) -> None:
    async with OurMeter("refuse-lists:silence") as meter, meter.client(timeout=1.0) as client:
        for _ in range(2):
            assert all(isinstance(answer, Data) for answer in await client.get_many([NAME, TIME]))
        assert meter.times(b"\xc0\x03") == 1


# -- what came instead of an answer, each kind by itself --------------------------------------------------------------

ONE = Data(DataType.UNSIGNED, 1)
WANTED = [attribute(3, f"1.0.{number}.7.0.255") for number in range(1, 17)]
Outcome = Data | DlmsMqttError


class Scripted:
    """A client whose meter answers by a script: errors for lists, outcomes for attributes, in order; else 1."""

    def __init__(self, *lists: DlmsMqttError, singly: dict[int, list[Outcome]] | None = None) -> None:
        self.transport, _ = memory_pair()
        self.memory, self.ready = Memory(), True
        self.recovered: list[DlmsMqttError] = []
        self.back: DlmsMqttError | None = None  # what a new association ends with
        self.requests: list[list[int]] = []
        self._lists = list(lists)
        self._singly = {WANTED[number]: list(outcomes) for number, outcomes in (singly or {}).items()}

    async def again(self, call: Callable[[Any], Awaitable[Any]]) -> Any:
        return await call(self)

    async def get_list(self, items: Sequence[tuple[AttributeDescriptor, None]]) -> list[Data | MeterRefused]:
        self.requests.append([WANTED.index(item) for item, _ in items])
        if self._lists:
            raise self._lists.pop(0)
        return [ONE] * len(items)

    async def get(self, item: AttributeDescriptor) -> Data:
        self.requests.append([WANTED.index(item)])
        outcomes = self._singly.get(item)
        outcome = (outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]) if outcomes else ONE
        if isinstance(outcome, DlmsMqttError):
            raise outcome
        return outcome

    async def recover(self, error: DlmsMqttError) -> None:
        self.recovered.append(error)
        if self.back is not None:
            raise self.back

    async def many(self, *groups: list[int]) -> list[Data | MeterRefused]:
        count = sum(map(len, groups))
        return await ManyReader(self, WANTED[:count]).read(groups)


def failed(answers: list[Data | MeterRefused]) -> list[int]:
    return [number for number, answer in enumerate(answers) if isinstance(answer, AttributeFailed)]


async def test_one_that_does_not_decode_is_found_by_halves() -> None:
    odd = DecodeError("odd octets")
    client = Scripted(odd, odd, singly={1: [odd]})
    answers = await client.many([0, 1, 2, 3])
    assert client.requests == [[0, 1, 2, 3], [0, 1], [0], [1], [2, 3]]
    assert failed(answers) == [1]
    assert answers[1].hint.startswith("The others are read")  # type: ignore[union-attr]
    assert client.memory.singly == {WANTED[1]}
    assert client.memory.max_list == 0xFF  # it was the attribute, not lists


async def test_what_fails_alone_is_the_answer_and_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A bad line would write some each minute, for ever; whoever asked is told."""
    caplog.set_level(logging.INFO)
    client = Scripted(singly={0: [ResponseTimeout("no answer")], 2: [DecodeError("odd octets")]})
    assert failed(await client.many([0], [1], [2])) == [0, 2]
    assert caplog.messages == []


@pytest.mark.parametrize(("own", "hint"), [("", "-vv shows what came"), ("Ask for less.", "Ask for less.")])
async def test_each_that_fails_has_a_next_step(own: str, hint: str) -> None:
    error = RemoteProtocolError("the meter sent block 7 where block 2 was due", hint=own)
    (answer,) = await ManyReader(Scripted(singly={0: [error]}), WANTED[:1]).read([[0]])
    assert isinstance(answer, AttributeFailed) and hint in str(answer.hint)


async def test_lists_are_to_blame_where_each_alone_is_well() -> None:
    client = Scripted(DecodeError("odd octets"))
    assert failed(await client.many([0, 1, 2, 3])) == []
    assert client.memory.max_list == 2
    silent = Scripted(ResponseTimeout("no answer"))
    assert failed(await silent.many([0, 1, 2, 3])) == []
    assert silent.requests[1:] == [[0], [1], [2], [3]]
    assert silent.memory.max_list == 1
    assert len(silent.recovered) == 1


async def test_an_answer_that_is_no_list_is_believed_in_nothing() -> None:
    client = Scripted(WrongList("3 results for 2 questions"))
    assert await client.many([0, 1]) == [ONE, ONE]
    assert client.memory.max_list == 1
    assert client.requests == [[0, 1], [0], [1]]


@pytest.mark.parametrize(("name", "kept"), [("scope-of-access-violated", 2), ("temporary-failure", 0xFF)])
async def test_a_refused_list_is_cut_in_two(name: str, kept: int) -> None:
    client = Scripted(AccessRefused("no", name=name))
    assert await client.many([0, 1, 2, 3]) == [ONE] * 4
    assert client.requests == [[0, 1, 2, 3], [0, 1], [2, 3]]
    assert client.memory.max_list == kept


async def test_a_list_that_is_longer_than_the_meter_takes_is_never_asked() -> None:
    client = Scripted()
    client.memory.max_list = 2
    await client.many([0, 1, 2, 3])
    assert client.requests == [[0, 1], [2, 3]]


async def test_a_refusal_of_one_names_it_and_is_its_answer() -> None:
    client = Scripted(singly={0: [AccessRefused("the meter refused", name="read-write-denied")]})
    (answer,) = await client.many([0])
    assert isinstance(answer, AccessRefused) and not isinstance(answer, AttributeFailed)
    assert str(WANTED[0]) in answer.message


async def test_a_line_that_was_idle_for_too_long_is_opened_once_more() -> None:
    lost = ConnectionLost("closed")
    client = Scripted(lost)
    assert await client.many([0, 1]) == [ONE, ONE]
    assert client.recovered == [lost]
    alone = Scripted(singly={0: [lost]})
    with pytest.raises(ConnectionLost):
        await alone.many([0])
    assert alone.recovered == []


async def test_one_at_which_the_meter_hangs_up_fails_alone() -> None:
    client = Scripted(singly={0: [ConnectionLost("closed")]})
    answers = await client.many([0], [1])
    assert failed(answers) == [0]
    assert "hangs up at this question" in answers[0].hint  # type: ignore[union-attr]
    assert len(client.recovered) == 2


async def test_ten_that_fail_in_a_row_are_a_meter_that_is_gone() -> None:
    silence: list[Outcome] = [ResponseTimeout("no answer")]
    client = Scripted(singly=dict.fromkeys(range(1, 16), silence))
    answers = await client.many(*[[number] for number in range(16)])
    assert answers[0] == ONE
    assert failed(answers) == list(range(1, 16))
    assert [answer.sent for answer in answers[1:]] == [True] * 10 + [False] * 5  # type: ignore[union-attr]
    assert "was not asked" in answers[15].message  # type: ignore[union-attr]
    mute = Scripted(singly=dict.fromkeys(range(16), silence))
    with pytest.raises(ResponseTimeout):
        await mute.many(*[[number] for number in range(16)])


@pytest.mark.parametrize(
    ("back", "kind"),
    [(ConnectFailed("nobody listens"), ResponseTimeout), (AssociationRefused("refused"), AssociationRefused)],
)
async def test_a_meter_that_does_not_come_back(back: DlmsMqttError, kind: type[DlmsMqttError]) -> None:
    """How it was lost tells more than that it is not back; a refusal tells more than the silence."""
    client = Scripted(ResponseTimeout("no answer"))
    client.back = back
    with pytest.raises(kind):
        await client.many([0, 1])
    assert client.memory.max_list == (1 if kind is ResponseTimeout else 0xFF)


async def test_what_must_not_be_believed_ends_all() -> None:
    with pytest.raises(SecurityError):
        await Scripted(SecurityError("a wrong tag")).many([0, 1])


@pytest.mark.parametrize("error", [AccessRefused("no"), DecodeError("odd"), ConnectionLost("closed")])
@pytest.mark.parametrize("group", [[0], [0, 1]])
async def test_an_error_of_a_new_association_is_no_attributes(error: DlmsMqttError, group: list[int]) -> None:
    client = Scripted(error, singly={0: [error]})
    client.ready = False
    with pytest.raises(type(error)):
        await client.many(group)
    assert client.memory.singly == set()
