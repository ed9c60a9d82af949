"""How good the line to a meter is: figures of the last sessions, a hint in plain words, and the frame size to ask for.

Frames get shorter when check sequences fail and longer again after quiet sessions: a short frame is lost less often,
and costs less to repeat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.framing.statistics import Statistics

#: HDLC information fields, octets; 128 is what every meter takes.
SIZES = (16, 32, 64, 128, 256, 512, 1024, 2030)
_REMEMBERED = 20  # sessions that the figures are made of
_ENOUGH = 5  # frames below which a session says nothing about the line
_BAD = 0.05  # share of damaged frames that makes the next ones shorter
_QUIET_SESSIONS = 10  # without any error, before longer frames are tried again


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """One session. ``frames``: valid ones that came; ``turn_rounds``: seconds from questions to their answers."""

    frames: int = 0
    bad_check: int = 0
    repeats: int = 0
    noise: int = 0
    signed_on: bool | None = None
    turn_rounds: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, statistics: Statistics, *, signed_on: bool | None = None, turn_rounds: tuple[float, ...] = ()
    ) -> SessionFigures:
        """The figures of a link that has ended. ``signed_on`` None: no sign-on was needed."""
        noise = statistics.noise_bytes
        return cls(statistics.frames, statistics.bad_check, statistics.repeats, noise, signed_on, turn_rounds)

    def __add__(self, more: SessionFigures) -> SessionFigures:
        """Both as one session."""
        return SessionFigures(
            self.frames + more.frames,
            self.bad_check + more.bad_check,
            self.repeats + more.repeats,
            self.noise + more.noise,
            more.signed_on if self.signed_on is None else self.signed_on and more.signed_on is not False,
            self.turn_rounds + more.turn_rounds,
        )

    @property
    def damaged(self) -> float:
        """Share of the frames that came damaged, or not at all."""
        lost = self.bad_check + self.repeats
        return lost / (self.frames + lost) if self.frames + lost else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over the remembered sessions; shares from 0 to 1, None where nothing is known; ``turn_round`` in seconds."""

    quality: float | None
    retries: int
    check_errors: int
    sign_on_success: float | None
    turn_round: float | None
    noise: int
    hint: str


class LineQuality:
    """Keeps the last sessions of one line."""

    def __init__(self, sessions: Iterable[SessionFigures] = ()) -> None:
        self._sessions: deque[SessionFigures] = deque(sessions, maxlen=_REMEMBERED)

    def __iter__(self) -> Iterator[SessionFigures]:
        return iter(self._sessions)

    def add(self, session: SessionFigures) -> None:
        """A session has ended."""
        self._sessions.append(session)

    def figures(self) -> Figures:
        """What the diagnostic entities show."""
        retries, check_errors = self._sum("repeats"), self._sum("bad_check")
        frames, noise = self._sum("frames"), self._sum("noise")
        lost = retries + check_errors
        signed_on = [item.signed_on for item in self._sessions if item.signed_on is not None]
        return Figures(
            quality=frames / (frames + lost) if frames + lost else None,
            retries=retries,
            check_errors=check_errors,
            sign_on_success=_share(signed_on),
            turn_round=_median([moment for item in self._sessions for moment in item.turn_rounds]),
            noise=noise,
            hint=self.hint if lost or noise or False in signed_on else "",
        )

    def _sum(self, name: str) -> int:
        return sum(getattr(item, name) for item in self._sessions)

    @property
    def hint(self) -> str:
        """What to look at, in one sentence; empty while all is well."""
        return next((sentence for applies, sentence in _HINTS if applies(self)), "")

    @property
    def recent(self) -> SessionFigures:
        """The last sessions as one: what changed lately weighs more than an old week."""
        last = list(self._sessions)[-5:]
        return SessionFigures(
            sum(item.frames for item in last),
            sum(item.bad_check for item in last),
            sum(item.repeats for item in last),
            sum(item.noise for item in last),
        )

    @property
    def sign_ons_failed(self) -> int:
        """Failed sign-ons among the last five sessions."""
        return sum(item.signed_on is False for item in list(self._sessions)[-5:])


def _noisy(line: LineQuality) -> bool:
    recent = line.recent
    return recent.bad_check + recent.noise // 16 >= 3 and recent.damaged > _BAD


_HINTS: tuple[tuple[Callable[[LineQuality], bool], str], ...] = (
    (
        _noisy,
        "The head has moved or the light is bad: seat it again and shade it.",
    ),
    (
        lambda line: line.sign_ons_failed >= 2,
        "The meter often misses the sign-on: the head may have moved, or the meter sleeps (wake_up).",
    ),
    (
        lambda line: line.recent.repeats >= 3 and line.recent.damaged > _BAD,
        "Answers get lost: check the wiring, or give the meter more time (timeout).",
    ),
)


def _share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


class FrameSize:
    """The HDLC information field to propose next: ``max_info`` of the settings. Never beyond what was configured."""

    def __init__(self, configured: int) -> None:
        self._ladder = [*(size for size in SIZES if size < configured), configured]
        self._step = len(self._ladder) - 1
        self._quiet = 0

    @property
    def max_info(self) -> int:
        """Octets."""
        return self._ladder[self._step]

    def too_long(self, session: SessionFigures) -> bool:
        """Would this session, if it ended now, make the next frames shorter?"""
        return self._step > 0 and _spoilt(session)

    def session_ended(self, session: SessionFigures) -> None:
        """Learn from a session: shorter at once after errors, longer only after many without."""
        if not _tells(session):
            return
        if _spoilt(session):
            self._step = max(0, self._step - 1)
            self._quiet = 0
        elif session.bad_check:
            self._quiet = 0
        else:
            self._quiet += 1
            if self._quiet >= _QUIET_SESSIONS:
                self._step = min(len(self._ladder) - 1, self._step + 1)
                self._quiet = 0


def _tells(session: SessionFigures) -> bool:
    return session.frames + session.bad_check + session.repeats >= _ENOUGH


def _spoilt(session: SessionFigures) -> bool:
    return _tells(session) and session.damaged > _BAD and session.bad_check > 0
