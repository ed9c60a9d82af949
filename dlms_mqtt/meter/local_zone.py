"""The time zone of this computer with its rules, not today's offset: times of before the last change are right too."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

_RULES = re.compile(r"(<[^>]+>|[A-Za-z]{3,})[-+]?\d.*")  # CET-1CEST,M3.5.0,M10.5.0/3, as POSIX writes it


def system_zone(environment: Mapping[str, str], link: Path = Path("/etc/localtime")) -> tzinfo:
    """The zone of ``TZ``, else of ``link``; the rules of the system where neither names a zone that is known."""
    name = environment.get("TZ", "").lstrip(":")
    local = str(link.resolve()).partition("zoneinfo/")[2]
    for candidate in filter(None, (name, "" if _RULES.fullmatch(name) else local)):
        try:
            return ZoneInfo(candidate)
        except (ValueError, OSError, KeyError):
            continue
    return SystemZone()


def zone_of(names: tuple[str, ...], environment: Mapping[str, str]) -> tzinfo:
    """The zone of the first name that is not empty, else the system's."""
    name = next(filter(None, names), "")
    return ZoneInfo(name) if name else system_zone(environment)


class SystemZone(tzinfo):
    """The rules that the system itself goes by, whatever their name: of a copied ``/etc/localtime``, or written out."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """Of a local time; ``fold`` tells which of the two of a repeated hour."""
        return _local(moment).utcoffset() if moment else None

    def dst(self, moment: datetime | None) -> timedelta | None:
        """An hour in summer."""
        return timedelta(hours=time.localtime(_local(moment).timestamp()).tm_isdst) if moment else None

    def tzname(self, moment: datetime | None) -> str | None:
        """``CET``."""
        return _local(moment).tzname() if moment else None

    def fromutc(self, moment: datetime) -> datetime:
        """The local time of a time in UTC."""
        local = moment.replace(tzinfo=UTC).astimezone()
        first = local.replace(tzinfo=self)
        return first if first.utcoffset() == local.utcoffset() else first.replace(fold=1)


def _local(moment: datetime) -> datetime:
    naive = moment.replace(tzinfo=None)
    try:
        return naive.astimezone()
    except (ValueError, OverflowError):  # the ends of the calendar
        return naive.replace(year=2000).astimezone()
