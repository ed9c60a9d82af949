"""Maker and model of a meter: what it says of itself, else what its preset says of the family; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: The letters that logical device names and identifications begin with (FLAG association); names as presets have them.
#: All but Itron and ZIV could be had from the ``match`` of the presets, and a test holds the two together. It stands
#: here because the bridge reads only the presets that meters name (all of them take it a third of a second), and since
#: letters in a preset's ``match`` say which family a search may propose: a maker of many families has none there.
_MAKERS = {
    "AID": "Aidon",
    "APA": "Apator",
    "ELS": "Elster",
    "EMH": "EMH",
    "EMR": "Energomera",
    "ISK": "Iskraemeco",
    "ITR": "Itron",
    "KAM": "Kamstrup",
    "KFM": "Kaifa",
    "LGZ": "Landis+Gyr",
    "SAG": "Sagemcom",
    "ZIV": "ZIV",
}
# Where the lists of the Norwegian and Swedish customer interface have the meter's type, by who made the list.
_TYPE = {"Kamstrup": "device_id_1"}
_USUAL_TYPE = "device_id_7"
_PORT = re.compile(r"\s*\(.*\)$")


def maker(texts: Mapping[str, str], preset: Mapping[str, str]) -> str:
    """The maker; the letters alone where nobody knows them; empty: it is not told. ``texts``: values by key."""
    letters = texts.get("logical_device_name", "")[:3]
    found = _MAKERS.get(letters.upper()) or _MAKERS.get(texts.get("list_version", "")[:3].upper())
    code = letters if letters.isalpha() and letters.isupper() else ""
    return found or preset.get("manufacturer") or code


def model(texts: Mapping[str, str], preset: Mapping[str, str]) -> str:
    """The model that the meter tells, else the family of its preset where that is of the same maker; or empty."""
    made_by = maker(texts, preset)
    if "list_version" in texts and (type_name := texts.get(_TYPE.get(made_by, _USUAL_TYPE))):
        return type_name
    if not made_by or made_by != preset.get("manufacturer"):
        return ""
    return _PORT.sub("", preset.get("name", "")).removeprefix(made_by).strip()
