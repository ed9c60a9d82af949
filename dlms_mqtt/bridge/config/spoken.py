"""What Home Assistant's component has told of itself, kept in the state directory: its language.

Entities are named in it where the configuration leaves that open; that it was told at all says the component is there.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dlms_mqtt.client.state.state_file import write_whole
from dlms_mqtt.languages.texts import languages

AUTO = "auto"
_FILE = "language"


def known_language(wish: str) -> str:
    """The language of ours that is meant (``de-CH`` is ``de``); empty: none of ours."""
    return next((word for word in (wish, wish.partition("-")[0]) if word in languages()), "")


def kept_language(state_dir: Path) -> str:
    """What Home Assistant has told, be it one of ours or not; empty: nothing."""
    with suppress(OSError, UnicodeDecodeError):
        return (state_dir / _FILE).read_text(encoding="utf-8").strip()
    return ""


def keep_language(state_dir: Path, language: str) -> None:
    """Keep it for the next start; OSError."""
    write_whole(state_dir / _FILE, language.encode())
