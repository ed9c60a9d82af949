"""The files of languages: nothing is missing, nothing is left over, no gap is broken; and how texts are said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from dlms_mqtt.bridge.homeassistant.discovery import BRIDGE
from dlms_mqtt.bridge.homeassistant.entities import BUILT_IN
from dlms_mqtt.bridge.http.snapshot import TEXTS
from dlms_mqtt.cli.setup import words
from dlms_mqtt.languages import texts
from dlms_mqtt.languages.texts import Phrase, Title, Word, languages, shorter, titled, translated
from dlms_mqtt.meter.catalogue import electricity, names
from dlms_mqtt.meter.catalogue.electricity import BASES, FLOWS, KINDS, LEVELS, MEASURES
from dlms_mqtt.meter.catalogue.objects import FACETS, ROWS
from dlms_mqtt.meter.finder.diagnosis import _UNCLEAR, CAUSES, GOING_ON, NEWS, REMARKS

FOLDER = Path(texts.__file__).parent
OTHERS = [language for language in languages() if language != "en"]


def used() -> Iterator[str]:
    """Every text that the code may ask for."""
    yield from (row.entity.name for row in BUILT_IN)
    yield from (entity.name for entity, _ in BRIDGE)
    yield from TEXTS
    yield from (row.en for row in (*ROWS, *FACETS.values()))
    yield from (text for _, text in names.OBJECTS)
    yield from names.MEDIA.values()
    yield from (names.CHANNEL, names.PERIOD, names.ATTRIBUTE)
    yield from electricity.PHRASES
    measures = (*MEASURES.values(), names.UNKNOWN_MEASURE)
    yield from (measure.en for measure in measures)
    yield from (Word(kind.en, measure.noun).id for kind in KINDS.values() for measure in measures)
    yield from (flow.direction.id for flow in FLOWS.values() if isinstance(flow.direction, Word))
    yield from (base.en for base, _ in BASES.values())
    yield from (text for _, text, _ in LEVELS.values() if text)


USED = set(used())


def content(language: str) -> dict[str, dict[str, str]]:
    return json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))


def gaps(text: str) -> set[str | None]:
    """The names in braces; ValueError where the braces do not match."""
    return {name for _, name, _, _ in Formatter().parse(text)} - {None}


def faults(found: dict[str, str], wanted: set[str]) -> list[str]:
    """What is wrong with the texts of a language, as sentences."""
    broken = [text for text in wanted & set(found) if gaps(text) != gaps(found[text])]
    return [
        *(f"missing: {text!r}" for text in sorted(wanted - set(found))),
        *(f"left over: {text!r}" for text in sorted(set(found) - wanted)),
        *(f"gaps of {text!r} in {found[text]!r}" for text in sorted(broken)),
        *(f"empty: {text!r}" for text, other in found.items() if not other.strip()),
    ]


@pytest.mark.parametrize("language", OTHERS)
def test_each_text_is_there_and_fits(language: str) -> None:
    assert faults(content(language)["texts"], USED) == []


@pytest.mark.parametrize("language", languages())
def test_a_file_says_its_language_and_shortens_what_it_says(language: str) -> None:
    found = content(language)
    assert set(found) == {"language", "shorter", "texts"} and found["language"]
    assert all(len(short) < len(long) for long, short in found["shorter"].items())
    assert language != "en" or not found["texts"]  # the id is the text


def test_setup_is_said_in_german_and_in_nothing_that_is_not_asked() -> None:
    """Its questions all, and what is told early; of what a search finds, as much as the file has."""
    found = json.loads((FOLDER / "setup" / "de.json").read_text(encoding="utf-8"))["texts"]
    questions = {text for name, text in vars(words).items() if name.isupper()}
    sentences = {text for case in (*CAUSES, *REMARKS, _UNCLEAR) for text in (case.sentence, case.step) if text}
    early = {GOING_ON, *(text for case, _ in NEWS for text in (case.sentence, case.step))}
    assert faults(found, questions | early | (sentences & set(found))) == []
    assert translated(words.WRITE, "de", "setup") != words.WRITE == translated(words.WRITE, "en", "setup")
    assert len(sentences & set(found)) > len(sentences) / 2


def test_faults_are_seen() -> None:
    found = {"Clock": "Uhr", "tariff {e}": "Tarif {f}", "Gone": "Weg", "Pause": " "}
    assert faults(found, {"Clock", "tariff {e}", "Relay {b} state", "Pause"}) == [
        "missing: 'Relay {b} state'",
        "left over: 'Gone'",
        "gaps of 'tariff {e}' in 'Tarif {f}'",
        "empty: 'Pause'",
    ]


def test_what_no_file_has_is_said_in_english() -> None:
    assert translated("Clock", "de") == "Uhr"
    assert translated("Clock", "tlh") == translated("Clock", "../de") == translated("Clock", "en") == "Clock"
    assert translated("No such text", "de") == "No such text"
    assert languages()[0] == "en" and "de" in languages()


def test_a_title_is_put_together_in_each_language() -> None:
    title = titled("{k} energy {d}", k=Word("active", "energy"), d=Word("import"))
    title = title.extended("L1", {}).extended("tariff {e}", {"e": 2}).extended("billing period {f}", {"f": 3}, ", ")
    assert title.in_language("en") == "Active energy import L1 tariff 2, billing period 3"
    assert title.in_language("de") == "Wirkenergie Bezug L1 Tarif 2, Abrechnungsperiode 3"
    assert title.with_text("tariff {e}", "T{e}").in_language("de") == "Wirkenergie Bezug L1 T2, Abrechnungsperiode 3"
    assert title.extended("", {}) == title
    assert Phrase("({a})", {"a": Phrase("attribute {n}", {"n": 4})}).in_language("de") == "(Attribut 4)"


def test_the_users_own_words_are_nobody_elses() -> None:
    assert Title(own="clock {e}").in_language("de") == "clock {e}"


def test_long_beginnings_are_shortened() -> None:
    assert shorter("Active energy import", "en") == "Energy import"
    assert shorter("Wirkenergie Bezug", "de") == "Energie Bezug"
    assert shorter("Wirkenergie Bezug", "en") == "Wirkenergie Bezug"
