"""What the broker refuses, told once for a topic and its neighbours, which its access lists treat alike."""

from __future__ import annotations

import logging

_LOG = logging.getLogger(__name__)
_HEARING = "hearing "
_MOST = 200  # groups, and topics of one, that are taken note of: replies go wherever somebody wants them
_MOST_TOLD = 2000


class Refusals:
    """Of one line to the broker: another one may be allowed more; what it is refused alike is not told again.

    ``again``: seconds until what was refused is tried again, as access lists are mended.
    """

    again = 60.0

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, str]] = {}  # topics that are refused, by group, and why
        self._told: dict[str, str] = {}  # topics that were refused last, and why, whatever the line

    @property
    def sentences(self) -> list[str]:
        """What is refused, and why."""
        return [f"{group}: {next(iter(topics.values()))}" for group, topics in sorted(self._groups.items())]

    def refused(self, topic: str, why: str) -> None:
        """A message on this topic was not taken."""
        self._note(_group(topic), topic, why, "The broker does not take what is sent to %s: %s")

    def deaf(self, name: str, why: str) -> None:
        """A subscription was not granted."""
        group = f"{_HEARING}{name}"
        self._note(group, group, why, "The broker lets nobody hear %s: %s")

    def heard(self, name: str) -> None:
        """A subscription was granted."""
        group = f"{_HEARING}{name}"
        self._told.pop(group, None)
        if self._groups.pop(group, None):
            _LOG.warning("The broker lets us hear %s", name)

    @property
    def unheard(self) -> list[str]:
        """The subscriptions that were not granted."""
        return [group.removeprefix(_HEARING) for group in self._groups if group.startswith(_HEARING)]

    def _note(self, group: str, topic: str, why: str, sentence: str) -> None:
        if group not in self._groups and len(self._groups) < _MOST:
            self._groups[group] = {}
            if self._told.get(topic) != why:
                _LOG.warning(sentence, group.removeprefix(_HEARING), why)
        if topic in self._told or len(self._told) < _MOST_TOLD:
            self._told[topic] = why
        topics = self._groups.get(group, {})
        if topic in topics or len(topics) < _MOST:
            topics[topic] = why

    def taken(self, topic: str) -> None:
        """A message on this topic was taken. What was refused beside it may be still."""
        if not self._told:
            return
        self._told.pop(topic, None)
        group = _group(topic)
        topics = self._groups.get(group, {})
        if topics.pop(topic, "") and not topics:
            del self._groups[group]
            _LOG.warning("The broker takes what is sent to %s again", group)

    def clear(self) -> None:
        """There is another line."""
        self._groups.clear()


def _group(topic: str) -> str:
    """A topic and its neighbours."""
    parts = topic.split("/")
    return "/".join((*parts[:-1], "...")) if len(parts) > 3 else topic
