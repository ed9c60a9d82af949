"""Finds out how to talk to an unknown meter on one line that the user names.

    plan (what to try, best worth per second first) -> probing (a station that answers) -> entering (an association)
         -> diagnosis (plain words), results (a ``connection:`` block)

``find`` is the whole engine; the command line and the bridge's ``meter/find`` use it alike.
"""

from __future__ import annotations

from dlms_mqtt.meter.finder.engine import find
from dlms_mqtt.meter.finder.results import Found, Limits

__all__ = ["Found", "Limits", "find"]
