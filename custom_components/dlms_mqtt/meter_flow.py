"""Adding and changing a meter: line, preset or search, access data, live test, items. The bridge does the work.

Secrets are sealed as soon as the form is sent; the flow keeps the sealed text only, and nothing of it is stored.
"""

from __future__ import annotations

from typing import Any

from homeassistant.config_entries import SubentryFlowResult

from .api import ApiError, Json, as_object, as_rows
from .const import CONF_HISTORY, HISTORY_DAYS, LONG_TIMEOUT, NEW_METER, TEST_TIMEOUT
from .errors import LINE_FAULTS, details, in_words, sentence
from .forms import (
    GENERIC,
    HISTORY_SCHEMA,
    NETWORK_SCHEMA,
    REMOTE_SCHEMA,
    TYPED_PORTS,
    access_schema,
    items_schema,
    preset_schema,
    serial_schema,
)
from .history import LOAD_PROFILE
from .meter_config import (
    LINE_KEYS,
    USUAL_CLIENTS,
    access_errors,
    build_read,
    chosen,
    clients_of,
    facts_of,
    fast,
    flat,
    folded,
    host_port,
    is_ciphered,
    masked,
    meter_id,
    name_of,
    normal_read,
    seconds,
    shown_errors,
    with_access,
    with_found,
    with_line,
    without_secrets,
)
from .push_flow import PushFlow

LINES = [*LINE_KEYS, "remote"]
SHOWN = ("client", "server", "authentication", "security", "suite", "system_title")  # never a secret
DEFAULT_INTERVAL = 30


class MeterFlow(PushFlow):
    """One meter of one bridge: asked over a line, or listened to."""

    # Line

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Which line leads to the meter?"""
        if reason := self._obstacle():
            return self.async_abort(reason=reason)
        return self.async_show_menu(step_id="user", menu_options=[*LINES, "push"])

    async def async_step_serial(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A serial port of the bridge's machine."""
        if user_input is not None:
            return await self._take_line({"serial": user_input["port"]})
        return self.async_show_form(
            step_id="serial", data_schema=serial_schema(await self._ports()), description_placeholders=TYPED_PORTS
        )

    async def async_step_tcp(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A meter or serial converter on TCP."""
        if user_input is not None:
            return await self._take_line({"tcp": host_port(user_input["host"], user_input["port"])})
        return self.async_show_form(step_id="tcp", data_schema=NETWORK_SCHEMA)

    async def async_step_udp(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A meter on UDP."""
        if user_input is not None:
            return await self._take_line({"udp": host_port(user_input["host"], user_input["port"])})
        return self.async_show_form(step_id="udp", data_schema=NETWORK_SCHEMA)

    async def async_step_remote(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A serial port of another machine, over the network."""
        if user_input is not None:
            address = host_port(user_input["host"], user_input["port"])
            return await self._take_line({"serial": f"{user_input['protocol']}://{address}"})
        return self.async_show_form(step_id="remote", data_schema=REMOTE_SCHEMA)

    async def _take_line(self, line: Json) -> SubentryFlowResult:
        self._was_silent = False
        # The bridge sends no secret to another address than it was given for: it must be given again.
        self._config["connection"] = with_line(without_secrets(self._connection), self._own_line(line))
        return await (self.async_step_access() if self._reconfiguring else self.async_step_method())

    # Preset or search

    async def async_step_method(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A known family, or find out."""
        return self.async_show_menu(step_id="method", menu_options=["find", "preset"])

    async def async_step_find(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Let the bridge find out how to talk to the meter."""
        return await self._progress("find", self._find, done="access", failed="find_failed")

    async def _find(self) -> None:
        line = {key: self._connection[key] for key in LINE_KEYS if key in self._connection}
        request = {"line": self._with_head_key(line, NEW_METER), "go_on": self._was_silent}
        found = await self._bridge.api.request(
            "meter/find", request, timeout=LONG_TIMEOUT, progress=self._show_progress
        )
        self._was_silent = not {"silent", "echo"}.isdisjoint(found.get("names") or ())
        if not found.get("found"):
            raise ApiError("no-answer", str(found.get("diagnosis") or ""), detail=found)
        self._config["connection"] = with_found(self._connection, as_object(found.get("connection")))
        self._config.pop("preset", None)  # what was found stands by itself
        self._learned = as_object(found.get("learned"))

    async def async_step_find_failed(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Say what was seen on the line, and what can be done."""
        assert self._failure is not None  # noqa: S101
        if speaks := self._speaks(self._failure):
            self._config["connection"] = with_found(self._connection, as_object(self._failure.detail.get("connection")))
        return self.async_show_menu(
            step_id="find_failed",
            menu_options=[*(["push_family"] if speaks else []), "find", "preset", "user"],
            description_placeholders={"causes": await self._causes(self._failure)},
        )

    def _speaks(self, failure: ApiError) -> bool:
        """Was a meter heard that sends by itself?"""
        names = failure.detail.get("names")
        return isinstance(names, list) and bool({"push", "telegram"} & {str(name) for name in names})

    async def async_step_preset(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Choose the meter's family."""
        errors: dict[str, str] = {}
        if user_input is not None:
            self._config["preset"] = user_input["preset"]
            return await self.async_step_access()
        try:
            presets = as_rows((await self._bridge.api.request("presets")).get("presets"))
        except ApiError as error:
            presets, errors = [], {"base": sentence(error)}
        return self.async_show_form(
            step_id="preset",
            data_schema=preset_schema(presets),
            errors=errors,
            description_placeholders=details(ApiError("")),
        )

    # Access

    async def async_step_access(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Name, addresses and secrets; comes back with the reason when the test failed."""
        errors: dict[str, str] = {}
        if self._failure is not None and user_input is None:
            errors["base"] = sentence(self._failure)
        fields = flat(user_input or {})
        if user_input is not None and not (errors := shown_errors(access_errors(fields, self._connection))):
            try:
                self._take_access(fields)
            except ApiError as error:
                self._failure, errors = error, {"base": sentence(error)}
            else:
                return await self.async_step_test()
        shown = {key: self._connection[key] for key in SHOWN if key in self._connection}
        if "suite" in shown:
            shown["suite"] = str(shown["suite"])
        shown |= {"name": self._config.get("name") or name_of(self._learned)}
        shown |= {key: value for key, value in fields.items() if key in (*SHOWN, "name")}
        schema = access_schema(is_ciphered(self._connection) or "base" in errors)
        return self.async_show_form(
            step_id="access",
            data_schema=self.add_suggested_values_to_schema(schema, folded(shown)),
            errors=errors,
            description_placeholders={
                **details(self._failure or ApiError("")),
                "found": await self._found(),
                "clients": clients_of(self._learned, "password") or USUAL_CLIENTS,
            },
        )

    async def _found(self) -> str:
        """What a search has found, in sentences; empty where there was none."""
        told = {
            "meter": facts_of(self._learned, self._connection),
            "open": clients_of(self._learned, "open"),
            "password": clients_of(self._learned, "password"),
        }
        texts = [
            (await in_words(self.hass, f"selector.found.options.{name}", "{facts}")).replace("{facts}", facts)
            for name, facts in told.items()
            if facts and self._learned
        ]
        return "".join(f"{text}\n\n" for text in texts)

    def _take_access(self, fields: dict[str, Any]) -> None:
        line = self._connection
        sealed = bool(self._meter) and line != without_secrets(line)  # for this id only
        if not self._reconfiguring and not sealed:
            self._meter = meter_id(fields["name"], self._taken_ids())
        connection = with_access(
            line,
            fields,
            lambda text: self._bridge.seal(text, self._meter, line),
            family=self._config.get("preset") not in (None, GENERIC),
        )
        self._config["connection"] = self._with_head_key(connection, self._meter)
        self._config["name"] = fields["name"].strip()

    async def async_step_test(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Talk to the meter, once."""
        done = "save" if self._reconfiguring else "objects"
        return await self._progress("test", self._test, done=done, failed="test_failed")

    async def _test(self) -> None:
        await (self._check_unchanged() if self._reconfiguring else self._check_new())
        answer = await self._bridge.api.request("meter/validate", self._request, timeout=TEST_TIMEOUT)
        if not self._reconfiguring:
            self._check_identity(as_object(answer.get("meter")))

    async def async_step_test_failed(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Back to the access data; where nothing was reached, the line may as well be changed or searched."""
        assert self._failure is not None  # noqa: S101
        if sentence(self._failure) not in LINE_FAULTS:
            return await self.async_step_access()
        return self.async_show_menu(
            step_id="test_failed",
            menu_options=["test", "access", "line", *([] if self._reconfiguring else ["find"])],
            description_placeholders={"causes": await self._causes(self._failure)},
        )

    # Items

    async def async_step_objects(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Ask the meter what it has."""
        return await self._progress("objects", self._read_objects, done="items", failed="test_failed")

    async def _read_objects(self) -> None:
        if self._reconfiguring:
            await self._check_unchanged()
        reply = await self._bridge.api.request(
            "meter/objects", self._request, timeout=LONG_TIMEOUT, progress=self._show_progress
        )
        self._objects = [row for row in as_rows(reply.get("objects")) if row.get("obis")]
        self._profiles = reply.get("profiles") or ()  # an older bridge does not tell them

    async def async_step_items(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """What is read, and how often."""
        read = normal_read(self._config)
        if user_input is not None:
            self._take_items(read, user_input)
            return await self.async_step_save()
        quick, fast_every = fast(read)
        shown = {
            "items": chosen(read, self._objects),
            "every": seconds(self._config.get("every") or f"{DEFAULT_INTERVAL}s"),
            "fast_items": quick,
            "fast_every": fast_every,
            "history": bool(self._history_days()),
            "history_days": self._history_days() or HISTORY_DAYS,
        }
        schema = self.add_suggested_values_to_schema(items_schema(self._objects), shown)
        return self.async_show_form(step_id="items", data_schema=schema)

    def _take_items(self, read: Json, fields: dict[str, Any]) -> None:
        fast_every = int(fields["fast_every"]) if fields.get("fast_every") else None
        quick = fields.get("fast_items") or ()
        self._config["read"] = build_read(read, self._objects, fields["items"], quick, fast_every)
        if fields.get("every"):
            self._config["every"] = f"{fields['every']:.0f}s"
        self._take_history(fields)

    def _take_history(self, fields: dict[str, Any]) -> None:
        days = int(fields.get("history_days") or HISTORY_DAYS)
        self._history = {CONF_HISTORY: days} if fields.get("history") else {}

    def _history_days(self) -> int:
        """As the person chose it; for a new meter, where it has a load profile."""
        if self._reconfiguring:
            return int(self._get_reconfigure_subentry().data.get(CONF_HISTORY) or 0)
        return HISTORY_DAYS if LOAD_PROFILE in self._profiles else 0

    # Reconfigure

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """What shall be changed?"""
        if (reason := self._obstacle()) and reason != "management_off":
            return self.async_abort(reason=reason)
        self._meter = str(self._get_reconfigure_subentry().unique_id)
        if self._meter not in self._bridge.managed:
            return await self.async_step_history()
        if reason:
            return self.async_abort(reason=reason)
        try:
            self._before = await self._bridge.meter_config(self._meter)
        except ApiError as error:
            return self.async_abort(reason="no_configuration", description_placeholders=details(error))
        self._config = masked(self._before)
        options = ["push_listen", "push_access", "push"] if self._listened_to else ["objects", "access", "line"]
        return self.async_show_menu(step_id="reconfigure", menu_options=options)

    async def async_step_history(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Of a meter that stands in the bridge's own file only this is ours to change."""
        if user_input is not None:
            self._take_history(user_input)
            self._keep_history()
            return self.async_abort(reason="reconfigure_successful")
        days = self._history_days()
        shown = {"history": bool(days), "history_days": days or HISTORY_DAYS}
        return self.async_show_form(
            step_id="history", data_schema=self.add_suggested_values_to_schema(HISTORY_SCHEMA, shown)
        )

    async def async_step_line(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """The meter moved to another line."""
        return self.async_show_menu(step_id="line", menu_options=LINES)
