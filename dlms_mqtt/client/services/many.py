"""Many attributes in few questions: lists, their halves, single ones. One that fails fails alone.

A list that is refused, malformed or met with silence is asked again in smaller parts, so that in the end what is wrong
is known: lists as such (the meter is remembered as one to ask singly), or one attribute (it is asked alone from then
on). After a question that broke the link a new association is opened. A meter that is gone ends it all: what has come
is kept, the rest says that it was not asked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from dlms_mqtt.client.line.silence import LinkLost
from dlms_mqtt.client.services.logical_names import WrongList
from dlms_mqtt.client.services.memory import PASSING, Memory
from dlms_mqtt.client.services.planner import halves
from dlms_mqtt.errors import (
    AccessRefused,
    AttributeFailed,
    ConnectionLost,
    DecodeError,
    DlmsMqttError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    SecurityError,
    ServiceRefused,
    TransportError,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.transport.base import Transport

T = TypeVar("T")
log = logging.getLogger("dlms_mqtt.client")

_MOST = 10  # attributes that fail one after another, then the meter is taken to be gone
_HINTS: tuple[tuple[type[DlmsMqttError], str], ...] = (
    (ResponseTimeout, "The meter answers other questions: leave this one out, or try another client address."),
    (ConnectionLost, "The meter hangs up at this question: leave it out, or try another client address."),
    (DecodeError, "The others are read; -vv shows the octets, which a report should have."),
)
_HINT = "The others are read: leave this one out. -vv shows what came, which a report should have."


class Client(Protocol):
    """What is needed of the client whose attributes are read."""

    transport: Transport
    memory: Memory
    ready: bool

    def again(self, call: Callable[[Any], Awaitable[T]]) -> Awaitable[T]:
        """A read, repeated where the meter dropped the link."""

    async def get(self, attribute: AttributeDescriptor) -> Data:
        """One attribute."""

    async def recover(self, error: DlmsMqttError) -> None:
        """Make the association fit for the next question."""


class Gone(Exception):
    """The meter is no longer there; ``error`` says how that was seen."""

    def __init__(self, error: DlmsMqttError) -> None:
        super().__init__(error)
        self.error = error


class ManyReader:
    """One call of ``get_many``: results by index, and what went wrong on the way."""

    def __init__(self, client: Client, attributes: Sequence[AttributeDescriptor]) -> None:
        self._client, self._attributes = client, attributes
        self._memory = client.memory
        self._results: list[Data | MeterRefused | None] = [None] * len(attributes)
        self._failed = self._in_a_row = 0

    async def read(self, groups: Sequence[Sequence[int]]) -> list[Data | MeterRefused]:
        """Data or what came instead for each attribute, in order. DlmsMqttError where nothing at all was answered."""
        try:
            for group in groups:
                await self._group(group)
        except Gone as gone:
            if all(result is None or isinstance(result, AttributeFailed) for result in self._results):
                raise gone.error from None
            return [self._not_sent(i, gone.error) if r is None else r for i, r in enumerate(self._results)]
        return [result for result in self._results if result is not None]

    def _not_sent(self, index: int, error: DlmsMqttError) -> AttributeFailed:
        target = str(self._attributes[index])
        return AttributeFailed(
            f"{target} was not asked: {error.message}", error=error, target=target, sent=False, hint=error.hint
        )

    # -- lists --------------------------------------------------------------------------------------------------------

    async def _group(self, group: Sequence[int]) -> None:
        if len(group) == 1:
            await self._one(group[0])
        elif len(group) > self._memory.max_list:
            await self._parts(halves(group))
        else:
            await self._list(group)

    async def _parts(self, parts: Sequence[Sequence[int]]) -> None:
        for part in parts:
            await self._group(part)

    async def _list(self, group: Sequence[int]) -> None:
        items = [(self._attributes[index], None) for index in group]
        try:
            answers = await self._request(lambda: self._client.again(lambda services: services.get_list(items)))
        except (AccessRefused, ServiceRefused) as error:
            self._check_open(error)
            await self._refused(error, group)
        except (RemoteProtocolError, TransportError) as error:
            self._check_open(error)
            await self._spoiled(error, group)
        else:
            self._in_a_row = 0
            for index, answer in zip(group, answers, strict=True):
                self._take(index, answer)

    async def _refused(self, error: MeterRefused, group: Sequence[int]) -> None:
        log.debug("%s: a list of %d was refused (%s)", self._client.transport.name, len(group), error)
        if error.name not in PASSING:
            self._memory.max_list = len(group) // 2
        await self._parts(halves(group))

    async def _spoiled(self, error: DlmsMqttError, group: Sequence[int]) -> None:
        """Nothing of this list is believed: in parts it shows whether a list or one of its attributes is to blame."""
        log.debug("%s: a list of %d was spoiled (%s)", self._client.transport.name, len(group), error)
        failed = self._failed
        if isinstance(error, WrongList):
            self._memory.max_list = 1
        await self._recover(error, lists=isinstance(error, ResponseTimeout))
        singly = [[index] for index in group]
        await self._parts(halves(group) if isinstance(error, DecodeError) else singly)
        if self._failed == failed:  # each of them is well, so the list was not
            least = len(group) // 2 if isinstance(error, DecodeError) else 1
            self._memory.max_list = min(self._memory.max_list, least)

    # -- single ones --------------------------------------------------------------------------------------------------

    async def _one(self, index: int) -> None:
        attribute = self._attributes[index]
        try:
            answer: Data | MeterRefused = await self._request(lambda: self._client.get(attribute))
        except (AccessRefused, ServiceRefused) as error:
            self._check_open(error)
            error.name_target(attribute)  # an exception does not say what it is about
            answer = error
        except (RemoteProtocolError, TransportError) as error:
            self._check_open(error)
            self._fail(index, error)
            await self._recover(error)
            return
        self._in_a_row = 0
        self._take(index, answer)

    def _fail(self, index: int, error: DlmsMqttError) -> None:
        attribute = self._attributes[index]
        hint = next((text for kind, text in _HINTS if isinstance(error, kind)), error.hint or _HINT)
        self._results[index] = AttributeFailed(error.message, error=error, target=str(attribute), hint=hint)
        log.debug("%s: %s", self._client.transport.name, error.message)
        self._memory.singly.add(attribute)
        self._failed += 1
        self._in_a_row += 1
        if self._in_a_row >= _MOST:
            raise Gone(error)

    def _take(self, index: int, answer: Data | MeterRefused) -> None:
        self._results[index] = answer
        if (attribute := self._attributes[index]) not in self._memory.sizes:
            self._memory.learn_size(attribute, answer)

    # -- the link -----------------------------------------------------------------------------------------------------

    async def _request(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask; once more in a new association where the line was closed: it may have been idle for too long."""
        try:
            return await ask()
        except ConnectionLost as error:
            if isinstance(error, LinkLost) or not self._client.ready:
                raise
            if len(self._attributes) == 1:  # whoever reads one alone decides what becomes of a lost line
                raise Gone(error) from error
            await self._recover(error)
            return await ask()

    def _check_open(self, error: DlmsMqttError) -> None:
        """An error of a new association, or of what protects it, is no attribute's."""
        if not self._client.ready:
            raise Gone(error) from error
        if isinstance(error, SecurityError):
            raise error

    async def _recover(self, error: DlmsMqttError, *, lists: bool = False) -> None:
        """A new association. ``lists``: one of them may be what drove the meter away, so the next time singly."""
        try:
            await self._client.recover(error)
        except TransportError as lost:  # how the meter was lost tells more than that it is not back
            if lists:
                self._memory.max_list = 1
            raise Gone(error) from lost
        except DlmsMqttError as refused:
            raise Gone(refused) from refused
