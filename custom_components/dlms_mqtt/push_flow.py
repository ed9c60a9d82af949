"""Adding a meter that sends by itself: where its telegrams arrive, its family and keys, what came, which values."""

from __future__ import annotations

from typing import Any

from homeassistant.config_entries import SubentryFlowResult

from .api import ApiError, Json, as_object, as_rows
from .bridge_flow import BridgeFlow
from .const import LISTEN, LONG_TIMEOUT, NEW_METER
from .errors import details, sentence
from .forms import (
    BIND_SCHEMA,
    GENERIC,
    PUSH_NETWORK_SCHEMA,
    TYPED_PORTS,
    push_access_schema,
    pushed_schema,
    pushing_schema,
    serial_schema,
)
from .meter_config import (
    LINE_KEYS,
    access_errors,
    host_port,
    is_listened_to,
    meter_id,
    name_of,
    published,
    with_line,
    with_push_keys,
    without_pushes,
    without_secrets,
)

OWN_LINE = "connection"  # push.listen: the meter's own line is opened
PUSH_LINES = ["push_serial", "push_network", "push_bind"]


class PushFlow(BridgeFlow):
    """The steps of meters that take no questions."""

    def __init__(self) -> None:
        super().__init__()
        self._values: list[Json] = []  # that came

    @property
    def _push(self) -> Json:
        return as_object(self._config.get("push"))

    # Where they arrive

    async def async_step_push(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Where do its telegrams arrive?"""
        return self.async_show_menu(step_id="push", menu_options=PUSH_LINES)

    async def async_step_push_serial(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """At a serial port of the bridge's machine."""
        if user_input is not None:
            return await self._take_place({"serial": user_input["port"]})
        return self.async_show_form(
            step_id="push_serial", data_schema=serial_schema(await self._ports()), description_placeholders=TYPED_PORTS
        )

    async def async_step_push_network(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """At a reader in the network, which the bridge connects to."""
        if user_input is not None:
            address = host_port(user_input["host"], user_input["port"])
            raw = user_input["protocol"] == "socket"
            return await self._take_place({"tcp": address} if raw else {"serial": f"rfc2217://{address}"})
        return self.async_show_form(step_id="push_network", data_schema=PUSH_NETWORK_SCHEMA)

    async def async_step_push_bind(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """At a port of the bridge's machine, to which the meter or its reader connects."""
        if user_input is not None:
            return await self._take_place({}, f"{user_input['protocol']}://0.0.0.0:{user_input['port']:.0f}")
        return self.async_show_form(step_id="push_bind", data_schema=BIND_SCHEMA)

    async def _take_place(self, line: Json, listen: str = OWN_LINE) -> SubentryFlowResult:
        self._config["connection"] = with_line(without_secrets(self._connection), self._own_line(line))
        self._config["push"] = {**self._push, "listen": listen}
        return await (self.async_step_push_access() if self._reconfiguring else self.async_step_push_method())

    # Family or search

    async def async_step_push_method(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """A known family, or listen first."""
        return self.async_show_menu(step_id="push_method", menu_options=["push_find", "push_family"])

    async def async_step_push_find(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Listen to what comes, at the speeds of customer interfaces."""
        return await self._progress("push_find", self._overhear, done="push_access", failed="push_failed")

    async def _overhear(self) -> None:
        line = {key: self._connection[key] for key in LINE_KEYS if key in self._connection}
        line = self._with_head_key(line, NEW_METER)
        request = {"line": line or {"bind": self._push["listen"]}, "listen": LISTEN}
        found = await self._bridge.api.request(
            "meter/find", request, timeout=LONG_TIMEOUT, progress=self._show_progress
        )
        if not found.get("found"):
            names = found.get("names")
            raise ApiError("no-answer", detail={"reason": names[0] if isinstance(names, list) and names else ""})
        self._config["connection"] = {**self._connection, **as_object(found.get("connection"))}
        self._learned = as_object(found.get("learned"))
        families = self._learned.get("presets")
        self._config["preset"] = families[0] if isinstance(families, list) and families else GENERIC

    async def async_step_push_family(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Choose the family."""
        errors: dict[str, str] = {}
        self._config.setdefault("push", {"listen": OWN_LINE})  # a search has heard it on the line
        if user_input is not None:
            self._config["preset"] = user_input["preset"]
            return await self.async_step_push_access()
        try:
            presets = as_rows((await self._bridge.api.request("presets")).get("presets"))
        except ApiError as error:
            presets, errors = [], {"base": sentence(error)}
        return self.async_show_form(
            step_id="push_family",
            data_schema=pushing_schema(presets),
            errors=errors,
            description_placeholders=details(ApiError("")),
        )

    # Name and keys

    async def async_step_push_access(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Name and keys."""
        fields, errors = user_input or {}, {}
        if user_input is not None and not (errors := access_errors(fields, self._connection)):
            try:
                self._take_keys(fields)
            except ApiError as error:
                self._failure, errors = error, {"base": sentence(error)}
            else:
                return await self.async_step_push_listen()
        shown = {"name": fields.get("name") or self._config.get("name") or name_of(self._learned)}
        return self.async_show_form(
            step_id="push_access",
            data_schema=self.add_suggested_values_to_schema(push_access_schema(), shown),
            errors=errors,
            description_placeholders=details(self._failure or ApiError("")),
        )

    def _take_keys(self, fields: Json) -> None:
        line = self._connection
        if not self._reconfiguring and not (self._meter and line != without_secrets(line)):
            self._meter = meter_id(fields["name"], self._taken_ids())
        connection = with_push_keys(line, fields, lambda text: self._bridge.seal(text, self._meter, line))
        self._config["connection"] = self._with_head_key(connection, self._meter)
        self._config["name"] = fields["name"].strip()

    # What comes

    async def async_step_push_listen(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Wait for the first telegrams."""
        return await self._progress("push_listen", self._listen, done="push_items", failed="push_failed")

    async def _listen(self) -> None:
        await (self._check_unchanged() if self._reconfiguring else self._check_new())
        request = {**self._request, "listen": LISTEN}
        request["config"] = {**request["config"], "push": {**self._push, "match": {}}}  # another meter may be there now
        answer = await self._bridge.api.request(
            "meter/validate", request, timeout=LONG_TIMEOUT, progress=self._show_progress
        )
        identity = as_object(answer.get("meter"))
        if not self._reconfiguring:
            self._check_identity(identity)
        title = identity.get("system_title")
        if title and self._push["listen"] != OWN_LINE:  # others may send to the same port
            self._config["push"] = {**self._push, "match": {"system_title": title}}
        self._values = [row for row in as_rows(answer.get("values")) if row.get("obis") and row.get("key")]

    async def async_step_push_failed(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Say what was heard, and what can be done."""
        assert self._failure is not None  # noqa: S101
        again = "push_listen" if self._config.get("name") else "push_find"
        options = [again, *(["push_access"] if self._config.get("name") else []), "push_family", "push"]
        return self.async_show_menu(
            step_id="push_failed",
            menu_options=options,
            description_placeholders={"causes": await self._causes(self._failure)},
        )

    async def async_step_push_items(self, user_input: dict[str, Any] | None = None) -> SubentryFlowResult:
        """Which of the values that came become entities."""
        if user_input is not None:
            self._config["read"] = without_pushes(self._config, self._values, user_input["items"])
            return await self.async_step_save()
        schema = self.add_suggested_values_to_schema(
            pushed_schema(self._values), {"items": published(self._config, self._values)}
        )
        return self.async_show_form(step_id="push_items", data_schema=schema)

    # Reconfigure

    @property
    def _listened_to(self) -> bool:
        return is_listened_to(self._config)
