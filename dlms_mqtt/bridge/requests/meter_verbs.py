"""What can be asked of a meter at any address over MQTT: one handler per verb, found in a table."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.meters.profiles import profile_json, profile_key
from dlms_mqtt.bridge.meters.shared_line import Priority
from dlms_mqtt.bridge.reading.interpret import Moment
from dlms_mqtt.bridge.requests import written_values
from dlms_mqtt.bridge.requests.arguments import Parts, moment_in, reference_in, selections_in
from dlms_mqtt.bridge.requests.bounds import MOST_VALUES
from dlms_mqtt.bridge.requests.dispatcher import Handler, Request
from dlms_mqtt.bridge.requests.item_verbs import ItemRequests
from dlms_mqtt.bridge.requests.meter_talk import MeterTalk, Pause, invoked
from dlms_mqtt.bridge.requests.topic_units import in_topic_unit
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.clock import ClockReading, read_clock
from dlms_mqtt.client.procedures.objects import (
    LOGICAL_DEVICE_NAME,
    Identity,
    held,
    identify,
    read_named,
    read_objects,
    text_of,
    type_of,
)
from dlms_mqtt.client.procedures.profile import Profile, Selection, read_profile
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.meter import json_shapes
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.transport import transport_for

_DISCONNECT = 70  # class whose methods and attributes are never used without a confirmation
_PAUSE = 10  # minutes


class MeterRequests:
    """The verbs of one meter. ``pause`` frees the whole line for so many seconds (0 ends it)."""

    def __init__(self, meter: MeterTask, pause: Pause) -> None:
        self._meter, self._talk = meter, MeterTalk(meter, pause)
        self._items = ItemRequests(meter, self._talk)
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
        if verb in ("set", "do"):
            return self._items.find(verb, name)
        if name not in self._verbs:
            raise RequestError(
                "unknown-request",
                f"There is no request '{name}'",
                hint=f"There are {', '.join((*self._verbs, 'cancel'))}.",
            )
        return self._verbs[name]

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
            pairs = await read_named(client, refs, self._meter.store)
            now = self._meter.now()
            return {
                "meter": await self._identity(client),
                "values": [self._row(answer, now) for _, answer in pairs if isinstance(answer, Measured)],
                "errors": [
                    json_shapes.error_json(at, answer) for at, answer in pairs if isinstance(answer, MeterRefused)
                ],
            }

        return await self._talk.run(work)

    def _row(self, answer: Measured, now: datetime) -> dict[str, Any]:
        meter = self._meter
        items = meter.plan.items if meter.plan else ()
        item = next((item for item in items if item.attribute == answer.attribute), None)
        moment = Moment(now, meter.zone, meter.sense)
        return in_topic_unit(json_shapes.value_json(answer, now), answer, item, moment)

    async def write(self, request: Request) -> Any:
        """``write {obis, class?, attribute, value, type?, confirm?}``."""
        self._allowed("write")
        reference = reference_in(request.body, "attribute")
        if reference.is_whole or "value" not in request.body:
            raise RequestError("bad-request", "'obis', 'attribute' and 'value' are needed")
        kind = written_values.type_named(request.body.get("type"))

        async def work(client: DlmsClient) -> Any:
            class_id = await self._talk.class_of(client, reference.obis, reference.class_id)
            self._talk.confirmed(request, class_id == _DISCONNECT)
            attribute = AttributeDescriptor(class_id, reference.obis, reference.attribute(class_id))
            data = written_values.free_data(request.body["value"], kind or await type_of(client, attribute))
            await client.set(attribute, data)
            back = await held(client, attribute)
            return json_shapes.written_json(attribute, data) | json_shapes.read_back_json(back)

        return await self._talk.run(work, repeat=False)

    async def invoke(self, request: Request) -> Any:
        """``invoke {obis, class?, method, value?, type?, confirm?}``."""
        self._allowed("invoke")
        reference = reference_in(request.body, "method")
        if reference.is_whole:
            raise RequestError("bad-request", "'obis' and 'method' are needed")
        written_values.type_named(request.body.get("type"))

        async def work(client: DlmsClient) -> Any:
            class_id = await self._talk.class_of(client, reference.obis, reference.class_id)
            self._talk.confirmed(request, class_id == _DISCONNECT)
            method = MethodDescriptor(class_id, reference.obis, reference.method(class_id))
            return await invoked(client, method, request.body.get("value"), request.body.get("type"))

        return await self._talk.run(work, repeat=False)

    async def _identity(self, client: DlmsClient) -> Any:
        """Who answers; the name that was read before is not asked for again."""
        known = self._meter.output.last.get("logical_device_name")
        name = str(known.value) if known else text_of((await client.get_many([LOGICAL_DEVICE_NAME]))[0])
        return json_shapes.meter_json(Identity(client.association.system_title.hex(), name, ""))

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

        return await self._talk.run(work, priority=Priority.PROFILE)

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
        identity = await self._talk.run(self._identity, priority=Priority.PROFILE)
        async for profile in self._profile_parts(request, obis, parts):
            values += json_shapes.cells_json(profile, self._meter.now())
            _check_number(len(values))
        return {"meter": identity, "values": values, "errors": []}

    async def _profile_rows(self, request: Request, obis: Obis, parts: Parts) -> Any:
        """The table of the ``profile/<key>`` topic: some 60 bytes a row instead of some hundred a cell."""
        table: dict[str, Any] = {"columns": [], "rows": []}
        async for profile in self._profile_parts(request, obis, parts):
            part = profile_json(profile, profile.rows)
            rows, unsure = (table.get(key, []) + part.get(key, []) for key in ("rows", "uncertain"))
            doubts = {"uncertain": unsure} if unsure else {}
            table = {**part, "from": table.get("from") or part["from"], "rows": rows, **doubts}
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
        part: Profile = await self._talk.run(
            lambda client: read_profile(client, obis, selection, tz=meter.zone, sense=meter.sense, now=meter.now),
            priority=Priority.PROFILE,
        )
        return part

    def _profile_obis(self, request: Request) -> Obis:
        key = request.get("key", str)
        if key is None:
            return reference_in(request.body, "attribute").obis
        found = next((profile.obis for profile in self._meter.config.profiles if profile_key(profile) == key), None)
        if found is None:
            raise RequestError("unknown-key", f"There is no profile '{key}'")
        return found

    async def dump(self, request: Request) -> Any:
        """``dump``: an anonymised capture of one session, for a bug report."""
        from dlms_mqtt.meter.dump import dump_session

        self._talk.needs_line()

        async def work(settings: ConnectionSettings) -> Any:
            return await dump_session(
                settings,
                transport=transport_for(settings),
                store=self._meter.store,
                salt=os.urandom(32),
                progress=request.progress,
                failed=self._meter.session.judge,
            )

        return await self._meter.session.alone(work, lambda capture: "error" not in capture["facts"])

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

        return json_shapes.clock_json(await self._talk.run(work))

    async def poll(self, request: Request) -> Any:
        """``poll {keys?}``: read now, everything or some keys."""
        keys = request.get("keys", list)
        readings = await self._meter.poll_now(keys)
        return {"values": {key: reading.value for key, reading in readings.items()}}

    async def pause(self, request: Request) -> Any:
        """``pause {minutes}``: free the port."""
        minutes = request.get("minutes", int, default=_PAUSE)
        return await self._talk.pause(minutes * 60.0)

    async def resume(self, request: Request) -> Any:
        """``resume``: end a pause."""
        return await self._talk.pause(0)


def _check_number(values: int) -> None:
    if values > MOST_VALUES:
        raise RequestError(
            "bad-request", f"These are more than {MOST_VALUES} values", hint="Ask for fewer days or rows."
        )
