"""What the bridge reports as wrong, as rows: each becomes a repair while it lasts and goes when it is cured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.issue_registry import IssueSeverity

from .api import ApiError, Json
from .const import CONF_BRIDGE, CONF_METER, DOMAIN
from .errors import details, local_time

DRIFT_LIMIT = 60.0  # seconds a meter's clock may be wrong before it matters to tariffs and profiles
LINE_FAILURES = 3  # failed cycles in a row

type Placeholders = dict[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a meter (or the bridge); ``data`` is for the repair's own flow."""

    key: str
    subject: str
    placeholders: Mapping[str, str]
    severity: IssueSeverity = IssueSeverity.WARNING
    fixable: bool = False
    data: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """``test`` looks at a meter's health and answers the placeholders of the repair, or None when all is well."""

    key: str
    test: Callable[[Json], Placeholders | None]
    severity: IssueSeverity = IssueSeverity.WARNING
    fixable: bool = False


def error_of(health: Json) -> ApiError | None:
    """The last error of a meter, None when there is none."""
    error = health.get("error")
    return ApiError.from_reply(error) if isinstance(error, dict) and error else None


def _error(health: Json) -> ApiError:
    return error_of(health) or ApiError("none")


def _locked_out(health: Json) -> Placeholders | None:
    error = _error(health)
    if health.get("status") != "locked_out" and error.code != "locked-out":
        return None
    return {"until": local_time(error.detail.get("until") or health.get("next_try"))}


def _counter_refused(health: Json) -> Placeholders | None:
    error = _error(health)
    return {} if error.code == "security-error" and error.reason == "counter" else None


def _line_failing(health: Json) -> Placeholders | None:
    error = _error(health)
    failures = health.get("consecutive_failures") or 0
    if error.code not in ("link-down", "no-answer", "timeout") or failures < LINE_FAILURES:
        return None
    return {"failures": str(failures), "detail": details(error)["detail"]}


def _clock_drift(health: Json) -> Placeholders | None:
    drift = health.get("clock_drift")
    wrong = isinstance(drift, int | float) and abs(drift) > DRIFT_LIMIT
    return {"seconds": f"{drift:+.0f}"} if wrong else None


def _energy_held(health: Json) -> Placeholders | None:
    held = health.get("held")
    return {"keys": ", ".join(sorted(map(str, held)))} if isinstance(held, dict | list) and held else None


def _meter_changed(health: Json) -> Placeholders | None:
    change = health.get("meter_changed")
    if not isinstance(change, dict):
        return None
    return {"old": str(change.get("old")), "new": str(change.get("new")), "time": local_time(change.get("time"))}


METER_RULES: tuple[Rule, ...] = (
    Rule("locked_out", _locked_out, IssueSeverity.ERROR),
    Rule("counter_refused", _counter_refused, IssueSeverity.ERROR),
    Rule("line_failing", _line_failing),
    Rule("clock_drift", _clock_drift, fixable=True),
    Rule("energy_held", _energy_held, fixable=True),
    Rule("meter_changed", _meter_changed, fixable=True),
)


class Problems:
    """The repairs of one bridge: shown while they are in the list, deleted when they are not."""

    def __init__(self, hass: HomeAssistant, bridge: str) -> None:
        self.hass = hass
        self.bridge = bridge
        self._shown: dict[str, Problem] = {}
        self._noted: dict[str, Problem] = {}

    @callback
    def note(self, problem: Problem) -> None:
        """A failure that the bridge does not report: it stays as long as the meter does."""
        self._noted[self._id(problem)] = problem

    @callback
    def forget(self, still_there: Iterable[str]) -> None:
        """Drop the notes about meters that are no longer there."""
        there = set(still_there)
        self._noted = {issue_id: problem for issue_id, problem in self._noted.items() if problem.subject in there}

    @callback
    def show(self, problems: Iterable[Problem]) -> None:
        """Make the repairs those of the list (and of the notes), and no others."""
        wanted = {self._id(problem): problem for problem in (*problems, *self._noted.values())}
        for issue_id in self._shown.keys() - wanted.keys():
            ir.async_delete_issue(self.hass, DOMAIN, issue_id)
        for issue_id, problem in wanted.items():
            if self._shown.get(issue_id) != problem:
                self._create(issue_id, problem)
        self._shown = wanted

    @callback
    def clear(self) -> None:
        """Take every repair away."""
        self._noted.clear()
        self.show(())

    def _id(self, problem: Problem) -> str:
        return f"{problem.key}_{self.bridge}_{problem.subject}"

    def _create(self, issue_id: str, problem: Problem) -> None:
        ir.async_create_issue(
            self.hass,
            DOMAIN,
            issue_id,
            data={CONF_BRIDGE: self.bridge, CONF_METER: problem.subject, "key": problem.key, "data": problem.data},
            is_fixable=problem.fixable,
            severity=problem.severity,
            translation_key=problem.key,
            translation_placeholders=dict(problem.placeholders),
        )
