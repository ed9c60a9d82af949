"""The client of one meter: ``async with DlmsClient(settings) as meter``, then read, write, invoke.

Reads go in as few turns of the line as the meter allows, and are repeated once where it dropped the link. Writes and
actions are never repeated by themselves: nobody knows what became of the first.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from dlms_mqtt.client.association.proof import REPLY_TO_HLS
from dlms_mqtt.client.repetition import RepeatingSession
from dlms_mqtt.client.services.logical_names import NULL
from dlms_mqtt.client.services.many import ManyReader
from dlms_mqtt.client.services.memory import Measured, scaler_of
from dlms_mqtt.client.services.planner import QUESTION, plan
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import (
    AccessRefused,
    DecodeError,
    LocalProtocolError,
    MeterRefused,
    RemoteProtocolError,
    TransportError,
)
from dlms_mqtt.protocol.apdu.access import AccessSpecification
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector, AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, decode
from dlms_mqtt.protocol.conformance import Conformance

log = logging.getLogger("dlms_mqtt.client")

_SHOWN = 16  # octets of an answer that means nothing
# Octets of one more attribute in a list.
_QUESTION = {"ln": QUESTION, "sn": 3}
# What must have been agreed to write without an answer.
_UNCONFIRMED = {"ln": Conformance.SET, "sn": Conformance.UNCONFIRMED_WRITE}


class DlmsClient(RepeatingSession):
    """The services of one meter, with logical or short names alike."""

    async def get(self, attribute: AttributeDescriptor, access: AccessSelector | None = None) -> Data:
        """The value of one attribute. AccessRefused, ServiceRefused, DecodeError."""
        octets = await self.get_raw(attribute, access)
        try:
            value, end = decode(octets)
        except DecodeError as error:
            raise DecodeError(
                f"{attribute}: {error.message} (it came as {octets[:_SHOWN].hex()})", offset=error.offset
            ) from error
        if end != len(octets):
            self.left_over(octets[end:], attribute)
        return value

    async def get_raw(self, attribute: AttributeDescriptor, access: AccessSelector | None = None) -> bytes:
        """The value of one attribute as the meter encoded it (for long buffers that are decoded in one go)."""
        try:
            return await self.again(lambda services: services.get((attribute, access)))
        except (RemoteProtocolError, TransportError) as error:
            if self.ready:  # else it is the new association that failed
                error.name_target(attribute)
            raise

    async def get_many(self, attributes: Sequence[AttributeDescriptor]) -> list[Data | MeterRefused]:
        """The values of many attributes in as few turns as the meter allows: data or refusal for each, in order.

        One that is met with silence, a closed connection or octets that mean nothing fails alone (AttributeFailed).
        """
        question, memory = _QUESTION[self.settings.referencing], self.memory
        singly: set[int] = set()
        if memory.singly:
            singly = {index for index, attribute in enumerate(attributes) if attribute in memory.singly}
        listed = [index for index in range(len(attributes)) if index not in singly]
        sizes = [(question, memory.sizes.get(attributes[index])) for index in listed]
        groups = [[listed[at] for at in group] for group in plan(sizes, self._limits, self._max_list)]
        return await ManyReader(self, attributes).read([*groups, *[[index] for index in sorted(singly)]])

    @property
    def _max_list(self) -> int:
        if not self.association.conformance & Conformance.MULTIPLE_REFERENCES and not self.settings.pre_established:
            return 1
        return self.memory.max_list

    async def read(self, attributes: Sequence[AttributeDescriptor]) -> list[Measured | MeterRefused]:
        """Values with scaler and unit where the class has them; those are read once and kept in ``memory``."""
        missing = self._unknown_scalers(attributes)
        answers = await self.get_many([*attributes, *missing])
        rows = list(zip(attributes, answers, strict=False))
        if missing:
            came = {scaler_of(attribute) for attribute, answer in rows if isinstance(answer, Data)}
            self._keep_scalers(missing, answers[len(attributes) :], came)
        for attribute, answer in rows:
            self.memory.learn_type(attribute, answer)
        return [
            answer if isinstance(answer, MeterRefused) else Measured(attribute, answer, self.memory.scaler(attribute))
            for attribute, answer in rows
        ]

    async def scalers(self, attributes: Sequence[AttributeDescriptor]) -> list[ScalerUnit | None]:
        """Scaler and unit of each attribute; None where it has none."""
        missing = self._unknown_scalers(attributes)
        self._keep_scalers(missing, await self.get_many(missing), set(missing))
        return [self.memory.scaler(attribute) for attribute in attributes]

    def _unknown_scalers(self, attributes: Sequence[AttributeDescriptor]) -> list[AttributeDescriptor]:
        wanted = dict.fromkeys(map(scaler_of, attributes))
        return [scaler for scaler in wanted if scaler is not None and self.memory.wants_scaler(scaler)]

    def _keep_scalers(
        self,
        scalers: Sequence[AttributeDescriptor],
        answers: Sequence[Data | MeterRefused],
        wanted: Collection[AttributeDescriptor | None],
    ) -> None:
        """``wanted``: those whose value came, so that somebody misses them."""
        learnt = [self.memory.learn_scaler(*row) for row in zip(scalers, answers, strict=True)]
        odd = [str(row) for row, known in zip(scalers, learnt, strict=True) if not known and row in wanted]
        if odd:  # a bad line loses others each time: that is one fault
            names = ", ".join(odd[:10])
            self._warn_once(f"no scaler and unit came, so values are shown as they were sent: {names}", "scalers")

    async def set(self, attribute: AttributeDescriptor, value: Data, access: AccessSelector | None = None) -> None:
        """Write one attribute; it is never repeated by itself. AccessRefused, ServiceRefused."""
        try:
            await self.once(lambda services: services.set((attribute, access), value))
        except AccessRefused:
            self.memory.types.pop(attribute, None)  # perhaps it is of another type by now
            raise

    async def set_many(
        self, attributes: Sequence[AttributeDescriptor], values: Sequence[Data]
    ) -> list[MeterRefused | None]:
        """Write several attributes in one request: None or the refusal for each."""
        items = [(attribute, None) for attribute in attributes]
        return list(await self.once(lambda services: services.set_list(items, values)))

    async def tell(self, attribute: AttributeDescriptor, value: Data) -> None:
        """Write one attribute without waiting for an answer (unconfirmed): whether it worked, only reading shows.

        LocalProtocolError where the meter has not agreed to such writes: it may answer, and nobody would await that.
        """
        services, service = self._live_services, _UNCONFIRMED[self.settings.referencing]
        if not (self.settings.pre_established or self.association.conformance & service):
            raise LocalProtocolError(
                f"the meter has not agreed to unconfirmed writes ({service.names()[0]})",
                hint="Write with an answer instead.",
            )
        await services.tell((attribute, None), value)

    async def invoke(self, method: MethodDescriptor, argument: Data | None = None) -> Data | None:
        """Run a method; its return parameters, if any. Never repeated by itself. ActionRefused, ServiceRefused."""
        return await self.once(lambda services: services.invoke(method, argument))

    async def invoke_many(
        self, methods: Sequence[MethodDescriptor], arguments: Sequence[Data | None]
    ) -> list[Data | MeterRefused | None]:
        """Run several methods in one request: return parameters, None or the refusal for each."""
        return list(await self.once(lambda services: services.invoke_list(methods, arguments)))

    async def access(
        self, specifications: Sequence[AccessSpecification], values: Sequence[Data | None] = ()
    ) -> list[Data | MeterRefused | None]:
        """Get, set and invoke in one ACCESS request, in this order: a value, None or the refusal for each.

        ``values``: what is written and passed, None where there is nothing. Never repeated by itself. ServiceRefused.
        """
        padded = [*values, *[None] * (len(specifications) - len(values))]
        sent = [NULL if value is None else value for value in padded]
        return list(await self.once(lambda services: services.access(specifications, sent)))

    async def keep_alive(self) -> None:
        """Ask for something small, so that the meter does not end an idle association."""
        class_id, _ = REPLY_TO_HLS[self.settings.referencing]
        await self.get(AttributeDescriptor(class_id, self.settings.association, 1))
