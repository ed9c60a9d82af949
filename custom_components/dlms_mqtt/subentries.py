"""The meters of a bridge as config subentries: they come and go by themselves, and what a person does is asked of it.

A meter that a person renames or removes is renamed or removed in the bridge first; it comes back where that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from types import MappingProxyType
from typing import Any, Protocol

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant, callback

from .api import ApiError, BridgeApi, Json
from .const import CONF_FILE, CONF_METER, DOMAIN, SUBENTRY_METER
from .errors import details
from .meter_config import outgoing
from .problems import Problem, Problems

_LOGGER = logging.getLogger(__name__)


class Bridge(Protocol):
    """The bridge, as far as its meters are concerned."""

    api: BridgeApi
    problems: Problems

    @property
    def meters(self) -> dict[str, Json]:
        """Every meter of the bridge by id."""

    @property
    def managed(self) -> dict[str, str]:
        """The names of the meters that can be changed from here, by id."""

    def can_change(self, meter: str) -> bool:
        """Can the meter's configuration be changed from here?"""

    async def meter_config(self, meter: str) -> Json:
        """A meter's configuration as the bridge has it; ApiError."""

    def remember(self, meter: str, name: str) -> None:
        """The bridge has taken the meter."""

    def forget(self, meter: str) -> None:
        """The bridge has removed the meter."""

    def refresh(self) -> None:
        """Look again at everything."""


def meter_subentries(entry: ConfigEntry[Any]) -> dict[str, ConfigSubentry]:
    """The meters among the subentries of a bridge."""
    return {key: sub for key, sub in entry.subentries.items() if sub.subentry_type == SUBENTRY_METER}


class Subentries:
    """``busy``: meters that a flow is adding or giving secrets, or a removal is taking away."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], bridge: Bridge) -> None:
        self._hass, self._entry, self._bridge = hass, entry, bridge
        self.busy: set[str] = set()
        self._known: set[str] = set()
        self._titles: dict[str, str] = {}  # as they were last taken from the bridge

    def start(self) -> None:
        """Those that are there now are no news."""
        self._known = set(self._by_meter())

    def sync(self) -> None:
        """Bring them in line with what the bridge says."""
        self._known = set(self._by_meter())
        for meter, row in self._bridge.meters.items():
            if meter not in self.busy:
                self._sync_one(meter, str(row.get("name") or meter), bool(row.get("managed")))
        for meter, subentry in self._by_meter().items():
            taken_out = meter not in self._bridge.meters and subentry.data.get(CONF_FILE)
            if taken_out:  # of the file: nothing of it is ours
                self._known.discard(meter)
                self._hass.config_entries.async_remove_subentry(self._entry, subentry.subentry_id)

    def _sync_one(self, meter: str, name: str, managed: bool) -> None:
        """Each change calls the update listeners, and so us again, at once: what is there is looked up anew."""
        entries, file = self._hass.config_entries, {} if managed else {CONF_FILE: True}
        self._titles[meter] = name
        self._known.add(meter)
        if present := self._by_meter().get(meter):
            kept = {key: value for key, value in present.data.items() if key != CONF_FILE}
            entries.async_update_subentry(self._entry, present, title=name, data={**kept, **file})
            return
        data = MappingProxyType({CONF_METER: meter, **file})
        subentry = ConfigSubentry(data=data, subentry_type=SUBENTRY_METER, title=name, unique_id=meter)
        entries.async_add_subentry(self._entry, subentry)

    def _by_meter(self) -> dict[str, ConfigSubentry]:
        return {str(subentry.unique_id): subentry for subentry in meter_subentries(self._entry).values()}

    @callback
    def changed(self) -> None:
        """A person renamed, added or removed a subentry: the bridge follows."""
        there = {str(sub.unique_id): sub.title for sub in meter_subentries(self._entry).values()}
        for meter in (self._known - there.keys()) & set(self._bridge.managed):
            self._work(meter, self._remove(meter), "remove")
        for meter, title in there.items():
            new = self._titles.get(meter, title) != title and meter not in self.busy
            if new and self._bridge.can_change(meter):
                self._work(meter, self._rename(meter, title), "rename")

    def _work(self, meter: str, work: Coroutine[Any, Any, None], name: str) -> None:
        self.busy.add(meter)
        self._entry.async_create_background_task(self._hass, work, f"{DOMAIN} {name} {meter}")

    async def _rename(self, meter: str, title: str) -> None:
        """The bridge's name is the meter's; where it does not take it, the old one comes back."""
        try:
            config = await self._bridge.meter_config(meter)
            request = {CONF_METER: meter, "config": outgoing({**config, "name": title})}
            await self._bridge.api.request("meter/update", request)
            self._bridge.remember(meter, title)
        except ApiError as error:
            _LOGGER.warning("%s could not be renamed: %s", meter, error)
        finally:
            self.busy.discard(meter)
            self._bridge.refresh()

    async def _remove(self, meter: str) -> None:
        name = self._bridge.managed[meter]
        try:
            await self._bridge.api.request("meter/remove", {"meter": meter})
            self._bridge.forget(meter)
        except ApiError as error:
            if error.code == "unknown-meter":
                self._bridge.forget(meter)
            else:
                placeholders = {"meter": name, "detail": details(error)["detail"]}
                self._bridge.problems.note(Problem("removal_failed", meter, placeholders))
        finally:
            self.busy.discard(meter)
            self._bridge.refresh()
