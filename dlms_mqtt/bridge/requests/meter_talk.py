"""Talking to a meter on behalf of a request: its turn of the line, classes of objects, confirmations, methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.requests import written_values
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import resolve, resolve_again
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.meter import json_shapes
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.times import later

Pause = Callable[[MeterTask, float], Awaitable[None]]


class MeterTalk:
    """With one meter. ``pause`` frees the whole line for so many seconds (0 ends it)."""

    def __init__(self, meter: MeterTask, pause: Pause) -> None:
        self._meter, self._pause = meter, pause

    async def run(
        self,
        work: Callable[[DlmsClient], Awaitable[Any]],
        *,
        repeat: bool = True,
        priority: Priority = Priority.COMMAND,
    ) -> Any:
        """One exchange when it is its turn, ``repeat`` as of ``Session``; RequestError where nobody can be asked."""
        self.needs_line()
        return await self._meter.session.run(priority, work, keep=self._meter.keeps_open(), repeat=repeat)

    def needs_line(self) -> None:
        """RequestError where nobody can be asked."""
        self._is_one()
        if not self._meter.session.settings.line or self._meter.only_speaks:
            raise RequestError("not-supported", "This meter only pushes; there is no line to ask it on")

    def _is_one(self) -> None:
        if self._meter.config.is_computed:
            raise RequestError("not-supported", "This meter is computed of others; ask those")

    def confirmed(self, request: Request, needed: bool) -> None:
        """RequestError where a confirmation is needed and not given."""
        if needed and request.body.get("confirm") != self._meter.id:
            raise RequestError(
                "confirmation-required",
                "This must be confirmed",
                hint=f'Send {{"confirm": "{self._meter.id}"}} with it.',
            )

    async def class_of(self, client: DlmsClient, obis: Obis, class_id: int | None) -> int:
        """The class of an object: as given, else as the meter has it; a guess is proved by its logical name."""
        ref, store = ObjectRef(class_id, obis), self._meter.store
        (found,) = await resolve(client, [ref], store)
        if class_id is not None:
            return found
        proof = await client.get_many([AttributeDescriptor(found, obis, 1)])
        return (await resolve_again(client, [ref], proof, store)).get(0, found)

    async def pause(self, seconds: float) -> Any:
        """Free the line for so many seconds; 0 ends it. The data of the reply."""
        self._is_one()
        await self._pause(self._meter, seconds)
        return {"paused_until": later(self._meter.now(), seconds).isoformat() if seconds else None}


async def invoked(client: DlmsClient, method: MethodDescriptor, value: Any, type_name: Any) -> Any:
    """Run a method; its argument is of the named type, else of the class's, else an integer. The data of the reply."""
    row = find(method.class_id)
    known = row.method(method.method) if row else None
    kind = written_values.type_named(type_name or None) or (known.type if known and known.type else DataType.INTEGER)
    argument = (
        Data(DataType.INTEGER, 0)
        if value is None and kind is DataType.INTEGER
        else written_values.free_data(value, kind)
    )
    return json_shapes.invoked_json(method, await client.invoke(method, argument))
