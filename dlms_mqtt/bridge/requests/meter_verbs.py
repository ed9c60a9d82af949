"""What can be asked of a meter over MQTT: one handler per verb, found in a table."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config.sections import Action
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.profiles import profile_json, profile_key
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.reading.plan import PlanItem, moment_of
from dlms_mqtt.bridge.requests import written_values
from dlms_mqtt.bridge.requests.arguments import Parts, moment_in, reference_in, selections_in
from dlms_mqtt.bridge.requests.bounds import MOST_VALUES
from dlms_mqtt.bridge.requests.dispatcher import Handler, Request
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.clock import ClockReading, read_clock
from dlms_mqtt.client.procedures.objects import (
    LOGICAL_DEVICE_NAME,
    Identity,
    held,
    identify,
    read_objects,
    resolve,
    text_of,
    type_of,
)
from dlms_mqtt.client.procedures.profile import Profile, Selection, read_profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.meter import json_shapes
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport import transport_for

_DISCONNECT = 70  # class whose methods and attributes are never used without a confirmation
_PAUSE = 10
Pause = Callable[[MeterTask, float], Awaitable[None]]


class MeterRequests:
    """The verbs of one meter. ``pause`` frees the whole line for so many seconds (0 ends it)."""

    def __init__(self, meter: MeterTask, pause: Pause) -> None:
        self._meter, self._pause_line = meter, pause
        self._verbs: dict[str, Handler] = {
            "read": self.read,
            "write": self.write,
            "invoke": self.invoke,
            "profile": self.profile,
            "objects": self.objects,
            "clock": self.clock,
            "poll": self.poll,
            "pause": self.pause,
            "resume": self.resume,
            "dump": self.dump,
        }

    def find(self, verb: str, name: str) -> Handler:
        """The handler of a command; RequestError when there is none."""
        if verb == "set":
            return self._find_set(name)
        if verb == "do":
            return self._find_do(name)
        if name not in self._verbs:
            raise RequestError(
                "unknown-request",
                f"There is no request '{name}'",
                hint=f"There are {', '.join((*self._verbs, 'cancel'))}.",
            )
        return self._verbs[name]

    # -- set and do ---------------------------------------------------------------------------------------------------

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
        return await self._pause_for(_PAUSE * 6 * 60.0 if request.text.upper() == "ON" else 0)

    async def _accept(self, request: Request) -> Any:
        return {"accepted": self._meter.output.accept_held()}

    async def _set(self, request: Request) -> Any:
        item = self._writable(request.address.name)
        assert item.said is not None  # noqa: S101
        self._confirmed(request, item.said.confirm)
        if request.body and "value" not in request.body:
            raise RequestError("bad-request", "The request has no 'value'")
        measured = await self._run(lambda client: self._write_item(client, item, request), repeat=False)
        if measured is None:
            return {"value": request.value, "read_back": None}
        reading = self._meter.take_one(item, measured)
        read_back = reading.value if reading else None
        return {"value": request.text if isinstance(read_back, str) else request.value, "read_back": read_back}

    def _writable(self, key: str) -> PlanItem:
        item = self._meter.plan.by_key.get(key) if self._meter.plan else self._meter.planned(key)
        if item is None:
            raise RequestError("unknown-key", f"There is no item '{key}'")
        if item.said is None or not item.said.writable:
            raise RequestError(
                "not-allowed", f"'{key}' is not writable", hint="Set writable: true in the configuration."
            )
        return item

    async def _write_item(self, client: DlmsClient, item: PlanItem, request: Request) -> Measured | None:
        said, attribute = item.said, item.attribute
        assert said is not None  # noqa: S101
        moment = moment_of(item.quantity, said)
        if moment is not None:
            there, meter = await held(client, attribute), self._meter
            data = written_values.moment_data(request.text, moment, there, meter.zone, meter.sense)
        else:
            kind = DataType.from_text(said.type) or await type_of(client, attribute)
            (scaled,) = await client.scalers([attribute])
            data = written_values.item_data(item, request.value, request.text, kind, scaled)
        await client.set(attribute, data)
        (answer,) = await client.read([attribute])
        return answer if isinstance(answer, Measured) else None

    async def _do(self, request: Request) -> Any:
        action = self._meter.config.actions[request.address.name]
        self._confirmed(request, action.confirm)
        return await self._run(lambda client: self._run_action(client, action), repeat=False)

    async def _run_action(self, client: DlmsClient, action: Action) -> Any:
        assert action.obis is not None  # noqa: S101
        class_id = await self._class_of(client, action.obis, action.class_)
        return await _invoke(client, MethodDescriptor(class_id, action.obis, action.method), action.value, action.type)

    def _confirmed(self, request: Request, needed: bool) -> None:
        if needed and request.body.get("confirm") != self._meter.id:
            raise RequestError(
                "confirmation-required",
                "This must be confirmed",
                hint=f'Send {{"confirm": "{self._meter.id}"}} with it.',
            )

    # -- free addresses -----------------------------------------------------------------------------------------------

    def _allowed(self, verb: str) -> None:
        if verb not in self._meter.config.allow:
            raise RequestError(
                "not-allowed",
                f"'{verb}' is not allowed for this meter",
                hint=f"Set allow: [{verb}] in the configuration.",
            )

    async def read(self, request: Request) -> Any:
        """``read {items: [{obis, class?, attribute?}]}``."""
        rows = request.get("items", list)
        if not rows:
            raise RequestError("bad-request", "'items' is a list of {obis, class?, attribute?}")
        refs = [reference_in(row, "attribute") for row in rows]

        async def work(client: DlmsClient) -> Any:
            classes = await resolve(client, refs, self._meter.store)
            attributes = [
                AttributeDescriptor(class_id, ref.obis, ref.attribute(class_id))
                for ref, class_id in zip(refs, classes, strict=True)
            ]
            found = await client.read(attributes)
            now = self._meter.now()
            pairs = list(zip(attributes, found, strict=True))
            return {
                "meter": await self._identity(client),
                "values": [json_shapes.value_json(answer, now) for _, answer in pairs if isinstance(answer, Measured)],
                "errors": [
                    json_shapes.error_json(at, answer) for at, answer in pairs if isinstance(answer, MeterRefused)
                ],
            }

        return await self._run(work)

    async def write(self, request: Request) -> Any:
        """``write {obis, class?, attribute, value, type?, confirm?}``."""
        self._allowed("write")
        reference = reference_in(request.body, "attribute")
        if reference.is_whole or "value" not in request.body:
            raise RequestError("bad-request", "'obis', 'attribute' and 'value' are needed")
        kind = written_values.type_named(request.body.get("type"))

        async def work(client: DlmsClient) -> Any:
            class_id = await self._class_of(client, reference.obis, reference.class_id)
            self._confirmed(request, class_id == _DISCONNECT)
            attribute = AttributeDescriptor(class_id, reference.obis, reference.attribute(class_id))
            data = written_values.free_data(request.body["value"], kind or await type_of(client, attribute))
            await client.set(attribute, data)
            back = await held(client, attribute)
            return json_shapes.written_json(attribute, data) | json_shapes.read_back_json(back)

        return await self._run(work, repeat=False)

    async def invoke(self, request: Request) -> Any:
        """``invoke {obis, class?, method, value?, type?, confirm?}``."""
        self._allowed("invoke")
        reference = reference_in(request.body, "method")
        if reference.is_whole:
            raise RequestError("bad-request", "'obis' and 'method' are needed")
        written_values.type_named(request.body.get("type"))

        async def work(client: DlmsClient) -> Any:
            class_id = await self._class_of(client, reference.obis, reference.class_id)
            self._confirmed(request, class_id == _DISCONNECT)
            method = MethodDescriptor(class_id, reference.obis, reference.method(class_id))
            return await _invoke(client, method, request.body.get("value"), request.body.get("type"))

        return await self._run(work, repeat=False)

    async def _identity(self, client: DlmsClient) -> Any:
        """Who answers; the name that was read before is not asked for again."""
        known = self._meter.output.last.get("logical_device_name")
        name = str(known.value) if known else text_of((await client.get_many([LOGICAL_DEVICE_NAME]))[0])
        return json_shapes.meter_json(Identity(client.association.system_title.hex(), name, ""))

    async def _class_of(self, client: DlmsClient, obis: Obis, class_id: int | None) -> int:
        return (await resolve(client, [ObjectRef(class_id, obis)], self._meter.store))[0]

    # -- long work ----------------------------------------------------------------------------------------------------

    async def objects(self, request: Request) -> Any:
        """``objects``: the association view, fresh from the meter."""
        request.progress(0, 1, "reading the object list")

        async def work(client: DlmsClient) -> Any:
            identity = await identify(client)
            found = await read_objects(client, self._meter.store, fresh=True)
            return {
                "meter": json_shapes.meter_json(identity),
                "objects": [json_shapes.object_json(item) for item in found],
            }

        return await self._run(work, priority=Priority.PROFILE)

    async def profile(self, request: Request) -> Any:
        """``profile {obis or key, from?, to?, first?, count?, as?}``, a day or some entries at a time."""
        obis = self._profile_obis(request)
        shape = request.get("as", str) or "values"
        if shape not in ("values", "rows"):
            raise RequestError("invalid-value", "'as' is values or rows")
        parts = selections_in(request, self._meter.now())
        if shape == "rows":
            return await self._profile_rows(request, obis, parts)
        values: list[dict[str, Any]] = []
        identity = await self._run(self._identity, priority=Priority.PROFILE)
        async for profile in self._profile_parts(request, obis, parts):
            values += json_shapes.cells_json(profile, self._meter.now())
            _check_number(len(values))
        return {"meter": identity, "values": values, "errors": []}

    async def _profile_rows(self, request: Request, obis: Obis, parts: Parts) -> Any:
        """The table of the ``profile/<key>`` topic: some 60 bytes a row instead of some hundred a cell."""
        table: dict[str, Any] = {"columns": [], "rows": []}
        async for profile in self._profile_parts(request, obis, parts):
            part = profile_json(profile, profile.rows)
            table = {**part, "from": table.get("from") or part["from"], "rows": table["rows"] + part["rows"]}
            table["to"] = part["to"] or (table["rows"][-1][0] if table["rows"] else None)
            _check_number(len(table["rows"]) * len(table["columns"]))
        return table

    async def _profile_parts(self, request: Request, obis: Obis, parts: Parts) -> AsyncIterator[Profile]:
        for number, selection in enumerate(parts):
            request.progress(number, parts.total, "reading the profile")
            profile = await self._profile_part(obis, selection)
            yield profile
            if profile.time_column is None or (selection.by_entry and not profile.rows):
                break

    async def _profile_part(self, obis: Obis, selection: Selection) -> Profile:
        meter = self._meter
        part: Profile = await self._run(
            lambda client: read_profile(client, obis, selection, tz=meter.zone, sense=meter.sense, now=meter.now),
            priority=Priority.PROFILE,
        )
        return part

    def _profile_obis(self, request: Request) -> Obis:
        key = request.get("key", str)
        if key is None:
            return reference_in(request.body, "attribute").obis
        found = next((said.obis for said in self._meter.config.profiles if profile_key(said) == key), None)
        if found is None:
            raise RequestError("unknown-key", f"There is no profile '{key}'")
        return found

    async def dump(self, request: Request) -> Any:
        """``dump``: an anonymised capture of one session, for a bug report."""
        from dlms_mqtt.meter.dump import dump_session

        async def work(settings: ConnectionSettings) -> Any:
            return await dump_session(
                settings,
                transport=transport_for(settings),
                store=self._meter.store,
                salt=os.urandom(32),
                progress=request.progress,
                failed=self._meter.session.judge,
            )

        return await self._meter.session.alone(work)

    # -- the rest -----------------------------------------------------------------------------------------------------

    async def clock(self, request: Request) -> Any:
        """``clock {set?}``: shows the clock, or sets it to our time (true) or to a given one."""
        wanted = request.body.get("set")
        if wanted is True:
            return await self._meter.clock.set(Priority.COMMAND)
        if isinstance(wanted, str):
            return await self._meter.clock.set(Priority.COMMAND, moment_in(wanted, self._meter.now()))
        if wanted not in (None, False):
            raise RequestError("invalid-value", "'set' is true or a time in ISO 8601")

        async def work(client: DlmsClient) -> ClockReading:
            return await read_clock(client, tz=self._meter.zone, now=self._meter.now)

        return json_shapes.clock_json(await self._run(work))

    async def poll(self, request: Request) -> Any:
        """``poll {keys?}``: read now, everything or some keys."""
        keys = request.get("keys", list)
        readings = await self._meter.poll_now(keys)
        return {"values": {key: reading.value for key, reading in readings.items()}}

    async def pause(self, request: Request) -> Any:
        """``pause {minutes}``: free the port."""
        minutes = request.get("minutes", int, default=_PAUSE)
        return await self._pause_for(minutes * 60.0)

    async def resume(self, request: Request) -> Any:
        """``resume``: end a pause."""
        return await self._pause_for(0)

    async def _pause_for(self, seconds: float) -> Any:
        await self._pause_line(self._meter, seconds)
        return {"paused_until": (self._meter.now() + timedelta(seconds=seconds)).isoformat() if seconds else None}

    async def _run(
        self,
        work: Callable[[DlmsClient], Awaitable[Any]],
        *,
        repeat: bool = True,
        priority: Priority = Priority.COMMAND,
    ) -> Any:
        if not self._meter.session.settings.line or self._meter.only_speaks:
            raise RequestError("not-supported", "This meter only pushes; there is no line to ask it on")
        return await self._meter.session.run(priority, work, keep=self._meter.keeps_open(), repeat=repeat)


async def _invoke(client: DlmsClient, method: MethodDescriptor, value: Any, type_name: Any) -> Any:
    row = find(method.class_id)
    known = row.method(method.method) if row else None
    kind = written_values.type_named(type_name or None) or (known.type if known and known.type else DataType.INTEGER)
    argument = (
        Data(DataType.INTEGER, 0)
        if value is None and kind is DataType.INTEGER
        else written_values.free_data(value, kind)
    )
    return json_shapes.invoked_json(method, await client.invoke(method, argument))


def _check_number(values: int) -> None:
    if values > MOST_VALUES:
        raise RequestError(
            "bad-request", f"These are more than {MOST_VALUES} values", hint="Ask for fewer days or rows."
        )
