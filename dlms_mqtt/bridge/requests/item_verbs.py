"""What the configuration names and lets be done: a writable item is set, an action is run."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config.sections.item import Action
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.reading.plan import PlanItem, moment_of
from dlms_mqtt.bridge.requests import written_values
from dlms_mqtt.bridge.requests.dispatcher import Handler, Request
from dlms_mqtt.bridge.requests.meter_talk import MeterTalk, invoked
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import held, type_of
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import DataType

_PAUSE = 3600.0  # s that the switch pauses for


class ItemRequests:
    """``set`` and ``do`` of one meter."""

    def __init__(self, meter: MeterTask, talk: MeterTalk) -> None:
        self._meter, self._talk = meter, talk

    def find(self, verb: str, name: str) -> Handler:
        """The handler of ``set`` an item or ``do`` an action; RequestError when there is no such action."""
        return self._find_set(name) if verb == "set" else self._find_do(name)

    def _find_set(self, key: str) -> Handler:
        return self._set_pause if key == "pause" else self._set

    def _find_do(self, name: str) -> Handler:
        if name == "accept_energy":
            return self._accept
        if name not in self._meter.config.actions:
            raise RequestError("unknown-action", f"There is no action '{name}'")
        return self._do

    async def _set_pause(self, request: Request) -> Any:
        if request.text.upper() not in ("ON", "OFF"):
            raise RequestError("invalid-value", "The value must be ON or OFF")
        return await self._talk.pause(_PAUSE if request.text.upper() == "ON" else 0)

    async def _accept(self, request: Request) -> Any:
        return {"accepted": self._meter.output.accept_held()}

    async def _set(self, request: Request) -> Any:
        item = self._writable(request.address.name)
        assert item.config is not None  # noqa: S101
        self._talk.confirmed(request, item.config.confirm)
        if request.body and "value" not in request.body:
            raise RequestError("bad-request", "The request has no 'value'")
        measured = await self._talk.run(lambda client: self._write_item(client, item, request), repeat=False)
        if measured is None:
            return {"value": request.value, "read_back": None}
        reading = self._meter.take_one(item, measured)
        read_back = reading.value if reading else None
        return {"value": request.text if isinstance(read_back, str) else request.value, "read_back": read_back}

    def _writable(self, key: str) -> PlanItem:
        item = self._meter.plan.by_key.get(key) if self._meter.plan else self._meter.planned(key)
        if item is None:
            raise RequestError("unknown-key", f"There is no item '{key}'")
        if item.config is None or not item.config.writable:
            raise RequestError(
                "not-allowed", f"'{key}' is not writable", hint="Set writable: true in the configuration."
            )
        return item

    async def _write_item(self, client: DlmsClient, item: PlanItem, request: Request) -> Measured | None:
        config, attribute = item.config, item.attribute
        assert config is not None  # noqa: S101
        if config.class_ is None and not self._meter.plan:  # a guess: what is written must not go astray
            attribute = attribute._replace(class_id=await self._talk.class_of(client, attribute.obis, None))
        moment = moment_of(item.quantity, config)
        if moment is not None:
            there, meter = await held(client, attribute), self._meter
            data = written_values.moment_data(request.text, moment, there, meter.zone, meter.sense)
        else:
            kind = DataType.from_text(config.type) or await type_of(client, attribute)
            (scaled,) = await client.scalers([attribute])
            data = written_values.item_data(item, request.value, request.text, kind, scaled)
        await client.set(attribute, data)
        (answer,) = await client.read([attribute])
        return answer if isinstance(answer, Measured) else None

    async def _do(self, request: Request) -> Any:
        action = self._meter.config.actions[request.address.name]
        self._talk.confirmed(request, action.confirm)
        return await self._talk.run(lambda client: self._run_action(client, action), repeat=False)

    async def _run_action(self, client: DlmsClient, action: Action) -> Any:
        assert action.obis is not None  # noqa: S101
        class_id = await self._talk.class_of(client, action.obis, action.class_)
        return await invoked(client, MethodDescriptor(class_id, action.obis, action.method), action.value, action.type)
