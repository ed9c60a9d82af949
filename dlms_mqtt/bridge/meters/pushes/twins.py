"""One notification that is heard twice: by whoever asks the meter, and by whoever listens to its line."""

from __future__ import annotations

from collections import defaultdict, deque

_MOST = 64  # that one ear is ahead of the other


class Twins:
    """Tells the second from the first. Equal notifications that follow each other are two for each ear."""

    def __init__(self) -> None:
        self._unpaired: defaultdict[str, deque[object]] = defaultdict(lambda: deque(maxlen=_MOST))

    def is_new(self, ear: str, notification: object) -> bool:
        """False: the other ear has had this one."""
        for other, unpaired in self._unpaired.items():
            if other != ear and notification in unpaired:
                unpaired.remove(notification)
                return False
        self._unpaired[ear].append(notification)
        return True
