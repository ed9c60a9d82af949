"""The time zone of this computer with its rules, not today's offset: times of before the last change are right too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo


def system_zone(environment: Mapping[str, str], link: Path = Path("/etc/localtime")) -> tzinfo:
    """The zone of ``TZ``, else of ``link``; today's offset only where neither names a zone that is known."""
    name = environment.get("TZ", "").lstrip(":")
    local = str(link.resolve()).partition("zoneinfo/")[2]
    for candidate in filter(None, (name, local)):
        try:
            return ZoneInfo(candidate)
        except (ValueError, OSError, KeyError):
            continue
    return datetime.now().astimezone().tzinfo or UTC


def zone_of(names: tuple[str, ...], environment: Mapping[str, str]) -> tzinfo:
    """The zone of the first name that is not empty, else the system's."""
    name = next(filter(None, names), "")
    return ZoneInfo(name) if name else system_zone(environment)
