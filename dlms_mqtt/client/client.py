"""The client of one meter: ``async with DlmsClient(settings) as meter``, then read, write, invoke.

Reads go in as few turns of the line as the meter allows, and are repeated once where it dropped the link. Writes and
actions are never repeated by themselves: nobody knows what became of the first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dlms_mqtt.client.services.logical_names import NULL
from dlms_mqtt.client.services.memory import Measured, scaler_of
from dlms_mqtt.client.services.planner import QUESTION, halves, plan
from dlms_mqtt.client.session import REPLY_TO_HLS, MeterSession
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import (
    AccessRefused,
    DlmsMqttError,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
    ServiceRefused,
)
from dlms_mqtt.protocol.apdu.access import AccessSpecification
from dlms_mqtt.protocol.apdu.descriptors import AccessSelector, AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, decode, encode
from dlms_mqtt.protocol.conformance import Conformance

log = logging.getLogger("dlms_mqtt.client")

# Octets of one more attribute in a list.
_QUESTION = {"ln": QUESTION, "sn": 3}


class DlmsClient(MeterSession):
    """The services of one meter, with logical or short names alike."""

    async def get(self, attribute: AttributeDescriptor, access: AccessSelector | None = None) -> Data:
        """The value of one attribute. AccessRefused, ServiceRefused."""
        return decode(await self.again(lambda services: services.get((attribute, access))))[0]

    async def get_raw(self, attribute: AttributeDescriptor, access: AccessSelector | None = None) -> bytes:
        """The value of one attribute as the meter encoded it (for long buffers that are decoded in one go)."""
        return await self.again(lambda services: services.get((attribute, access)))

    async def get_many(self, attributes: Sequence[AttributeDescriptor]) -> list[Data | MeterRefused]:
        """The values of many attributes in as few turns as the meter allows: data or refusal for each, in order."""
        results: list[Data | MeterRefused] = [_NOT_READ] * len(attributes)
        question = _QUESTION[self.settings.referencing]
        sizes = [(question, self.memory.sizes.get(attribute)) for attribute in attributes]
        for group in plan(sizes, self._limits, self._max_list):
            await self._get_group(attributes, group, results)
        return results

    @property
    def _max_list(self) -> int:
        if not self.association.conformance & Conformance.MULTIPLE_REFERENCES and not self.settings.pre_established:
            return 1
        return self.memory.max_list

    async def _get_group(
        self, attributes: Sequence[AttributeDescriptor], group: Sequence[int], results: list[Data | MeterRefused]
    ) -> None:
        if len(group) == 1:
            results[group[0]] = await self._get_one(attributes[group[0]])
        elif len(group) > self.memory.max_list:
            await self._get_halves(attributes, group, results)
        else:
            items = [(attributes[index], None) for index in group]
            try:
                answers = await self.again(lambda services: services.get_list(items))
            except (MeterRefused, RemoteProtocolError, ResponseTimeout) as error:
                self._list_failed(error, len(group))
                await self._get_halves(attributes, group, results)
                return
            for index, answer in zip(group, answers, strict=True):
                results[index] = self._learn(attributes[index], answer)

    def _list_failed(self, error: DlmsMqttError, size: int) -> None:
        """Meters that refuse lists are remembered; a silent one is not asked a second time in this session."""
        if not isinstance(error, MeterRefused):
            self.memory.max_list = 1
            raise error
        log.debug("%s: a list of %d was refused (%s)", self.transport.name, size, error)
        self.memory.max_list = size // 2

    async def _get_halves(
        self, attributes: Sequence[AttributeDescriptor], group: Sequence[int], results: list[Data | MeterRefused]
    ) -> None:
        for half in halves(group):
            await self._get_group(attributes, half, results)

    async def _get_one(self, attribute: AttributeDescriptor) -> Data | MeterRefused:
        try:
            return self._learn(attribute, await self.get(attribute))
        except (AccessRefused, ServiceRefused) as error:
            return error

    def _learn(self, attribute: AttributeDescriptor, answer: Data | MeterRefused) -> Data | MeterRefused:
        if attribute not in self.memory.sizes:
            self.memory.sizes[attribute] = len(encode(answer)) + 1 if isinstance(answer, Data) else 2
        return answer

    async def read(self, attributes: Sequence[AttributeDescriptor]) -> list[Measured | MeterRefused]:
        """Values with scaler and unit where the class has them; those are read once and kept in ``memory``."""
        missing = self._unknown_scalers(attributes)
        answers = await self.get_many([*attributes, *missing])
        self._keep_scalers(missing, answers[len(attributes) :])
        return [
            answer if isinstance(answer, MeterRefused) else Measured(attribute, answer, self.memory.scaler(attribute))
            for attribute, answer in zip(attributes, answers, strict=False)
        ]

    async def scalers(self, attributes: Sequence[AttributeDescriptor]) -> list[ScalerUnit | None]:
        """Scaler and unit of each attribute; None where it has none."""
        missing = self._unknown_scalers(attributes)
        self._keep_scalers(missing, await self.get_many(missing))
        return [self.memory.scaler(attribute) for attribute in attributes]

    def _unknown_scalers(self, attributes: Sequence[AttributeDescriptor]) -> list[AttributeDescriptor]:
        wanted = dict.fromkeys(map(scaler_of, attributes))
        return [scaler for scaler in wanted if scaler is not None and scaler not in self.memory.scalers]

    def _keep_scalers(self, scalers: Sequence[AttributeDescriptor], answers: Sequence[Data | MeterRefused]) -> None:
        for scaler, answer in zip(scalers, answers, strict=True):
            self.memory.learn_scaler(scaler, answer)

    async def set(self, attribute: AttributeDescriptor, value: Data, access: AccessSelector | None = None) -> None:
        """Write one attribute; it is never repeated by itself. AccessRefused, ServiceRefused."""
        await self.once(lambda services: services.set((attribute, access), value))

    async def set_many(
        self, attributes: Sequence[AttributeDescriptor], values: Sequence[Data]
    ) -> list[MeterRefused | None]:
        """Write several attributes in one request: None or the refusal for each."""
        items = [(attribute, None) for attribute in attributes]
        return list(await self.once(lambda services: services.set_list(items, values)))

    async def tell(self, attribute: AttributeDescriptor, value: Data) -> None:
        """Write one attribute without waiting for an answer (unconfirmed): whether it worked, only reading shows."""
        await self._live_services.tell((attribute, None), value)

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


_NOT_READ = MeterRefused("not read")
