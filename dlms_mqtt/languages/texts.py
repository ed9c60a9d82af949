"""What people read, in their language: texts with gaps, put together where the meaning is known and said at the end.

One file a language, read when it is first asked for: ``texts`` maps English texts to its own, with the same gaps in
braces; ``shorter`` maps beginnings of long names to what fits on a page. What a file lacks is said in English.
A word that fills a gap may need another form beside another noun: its id is ``active (energy)``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from dlms_mqtt.frozen import dataclass, replace

if TYPE_CHECKING:
    from pathlib import Path

ENGLISH = "en"


def languages(topic: str = "") -> tuple[str, ...]:
    """The languages that there are, as two letters; English first. ``topic``: of a folder of its own."""
    return ENGLISH, *sorted({file.stem for file in _folder(topic).glob("*.json")} - {ENGLISH})


def _folder(topic: str) -> Path:
    from pathlib import Path  # English, which most programs ask for, needs no file

    return Path(__file__).parent / topic


@cache
def _file(language: str, topic: str = "") -> Mapping[str, Any]:
    file = _folder(topic) / f"{language}.json"
    if language not in languages() or not file.exists():
        return {}
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def translated(text: str, language: str, topic: str = "") -> str:
    """The text in a language; as it is where that language does not have it. ``topic``: a folder of its own."""
    return text if language == ENGLISH else str(_file(language, topic).get("texts", {}).get(text, text))


def shorter(name: str, language: str) -> str:
    """A name of the catalogue with a shorter beginning, where the language has one."""
    for long, short in _file(language).get("shorter", {}).items():
        if name.startswith(long):
            return str(short) + name[len(long) :]
    return name


class Word(NamedTuple):
    """A word that fills a gap and is translated itself; ``noun`` is what it is said of."""

    text: str
    noun: str = ""

    @property
    def id(self) -> str:
        """What the files have it under."""
        return f"{self.text} ({self.noun})" if self.noun else self.text

    def in_language(self, language: str) -> str:
        """The word in a language."""
        found = translated(self.id, language)
        return self.text if found == self.id else found


class Phrase(NamedTuple):
    """An English text with gaps, and what fills them."""

    text: str
    gaps: Mapping[str, object]

    def in_language(self, language: str) -> str:
        """The phrase in a language."""
        gaps = {
            name: gap.in_language(language) if isinstance(gap, Word | Phrase) else gap
            for name, gap in self.gaps.items()
        }
        return translated(self.text, language).format(**gaps)


@dataclass(frozen=True, slots=True)
class Title:
    """A name of phrases, each with what stands before it; or the user's ``own``, which nobody translates."""

    phrases: tuple[tuple[str, Phrase], ...] = ()
    own: str = ""

    def in_language(self, language: str) -> str:
        """The name in a language."""
        name = "".join(before + phrase.in_language(language) for before, phrase in self.phrases)
        return self.own or name[:1].upper() + name[1:]

    def extended(self, text: str, gaps: Mapping[str, object], before: str = " ") -> Title:
        """The name with a phrase more."""
        return Title((*self.phrases, (before, Phrase(text, gaps))), self.own) if text else self

    def with_text(self, old: str, new: str) -> Title:
        """The name with another text in the place of one."""
        rows = ((before, Phrase(new if text == old else text, gaps)) for before, (text, gaps) in self.phrases)
        return replace(self, phrases=tuple(rows))


def titled(text: str, **gaps: object) -> Title:
    """A name of one phrase."""
    return Title((("", Phrase(text, gaps)),))
