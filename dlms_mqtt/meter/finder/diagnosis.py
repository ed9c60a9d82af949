"""From what was seen on the line to plain words and the next step: one row for each cause, the surest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.meter.finder.evidence import Evidence
from dlms_mqtt.meter.finder.results import LOST, Facts


class Case(NamedTuple):
    """A cause: when the facts speak for it, what it is, what to try."""

    name: str
    when: Callable[[Facts], bool]
    sentence: str
    step: str


def _answered(facts: Facts) -> bool:
    return bool(facts.seen.keys() - {Evidence.NOTHING, Evidence.ECHO})


def _silent(facts: Facts) -> bool:
    return not _answered(facts) and not facts.identification and not facts.linked


def _echoes(facts: Facts) -> bool:
    return facts.seen[Evidence.ECHO] > 0 or "echo" in facts.oddities


def _mute(facts: Facts) -> bool:
    """Not one octet, and nobody who hangs up."""
    return _silent(facts) and not facts.closed and not _echoes(facts)


#: Why nothing was found (or not all): every row that applies is told, in this order.
CAUSES: tuple[Case, ...] = (
    Case(
        "swallows-ff",
        lambda f: "swallows-ff" in f.path_faults,
        "the path to the meter swallows the octet FF (some Bluetooth probes do, unless it is doubled)",
        "Use another probe or its binary mode; every OBIS code holds an FF, so nothing works without it.",
    ),
    Case(
        "expands-lf",
        lambda f: "expands-lf" in f.path_faults,
        "the path to the meter turns 0A into 0D 0A (a converter in text mode)",
        "Switch the converter to raw (binary, not telnet or text) mode.",
    ),
    Case(
        "swallows-xon",
        lambda f: "swallows-xon" in f.path_faults,
        "the path to the meter swallows 11 or 13 (software flow control)",
        "Switch XON/XOFF off in the converter.",
    ),
    Case(
        "loses-octets",
        lambda f: "loses-octets" in f.path_faults and not f.path_faults & {"swallows-ff", "swallows-xon", "expands-lf"},
        "the meter answers short questions, but not those that hold certain octets",
        "The path is not transparent: use raw (binary) mode and no flow control in the converter or probe.",
    ),
    Case(
        "converter-7e1",
        lambda f: (
            not f.linked and ("seven-bits" in f.path_faults or (f.identification is not None and not f.has_speed))
        ),
        "the sign-on works but HDLC does not get through: the converter keeps 7E1 or its speed",
        "We cannot change it. Use RFC 2217 (serial: rfc2217://HOST:PORT), so that speed and parity can follow, or set "
        "the converter to 8N1 at the speed of the meter and choose parity: none for the sign-on.",
    ),
    Case(
        "telegram",
        lambda f: "telegram" in f.oddities,
        "this meter sends clear-text telegrams by itself (a P1 customer interface) and does not answer questions",
        "Use `dlms-mqtt listen` with this line; the values then come as pushes (push: {listen: connection}).",
    ),
    Case(
        "clear-text",
        lambda f: not f.linked and ("readout" in f.oddities or f.sign_on["clear-text"] > 0),
        "the meter sends a clear-text readout instead of changing to HDLC",
        "The readout could not be read whole: seat the head again and shade it, or try --opening readout with "
        "--max-baud 300.",
    ),
    Case(
        "push",
        lambda f: "push" in f.oddities or f.seen[Evidence.PUSH] > 0,
        "this meter sends by itself (a customer interface) and does not answer questions",
        "Use `dlms-mqtt listen` with this line; the values then come as pushes (push: {listen: connection}).",
    ),
    Case(
        "parity",
        lambda f: not f.linked and (f.seen[Evidence.PARITY] > 0 or f.sign_on["parity"] > 0),
        "octets arrive with a parity bit as data: 7E1 is read as 8N1",
        "Set the converter to 7E1 for the sign-on, or choose parity: none, which does it in software.",
    ),
    Case(
        "damaged",
        lambda f: not f.associated and not f.wants_password and f.seen[Evidence.DAMAGED] > 0,
        "frames arrive, but their check sequences are wrong",
        "Check parity and light: the head may have moved, or the sun or a lamp shines on it.",
    ),
    Case(
        "mangled-echo",
        lambda f: not f.linked and f.seen[Evidence.MANGLED_ECHO] > 0,
        "the head gives back what we send, but damaged",
        "The head sees its own light badly: seat it again, turn it by 180 degrees, keep bright light off.",
    ),
    Case(
        "garbled",
        lambda f: not f.linked and (f.seen[Evidence.GARBLED] > 0 or f.sign_on["garbled"] > 0),
        "octets arrive, but they mean nothing at any speed",
        "Check the seat of the head and bright light on it; another device may use the line.",
    ),
    Case(
        "address",
        lambda f: not f.linked and f.identification is not None and f.has_speed,
        "the meter answers the sign-on, but no station answers in HDLC",
        "Its address is not among the common ones: give its number (--number, as printed on it) or --physical and "
        "--address-size. Some meters also want another --max-baud.",
    ),
    Case(
        "closed",
        lambda f: not f.linked and f.closed > 0,
        "the other end closes the connection",
        "Most meters and converters take one connection at a time: close the other program, wait a minute, try again.",
    ),
    Case(
        "refused-before",
        lambda f: "refused-before" in f.oddities,
        "the meter refused this password or key in an earlier search, so it was not sent again: meters lock",
        "Give another one; --fresh sends the same one once more.",
    ),
    Case(
        "password-refused",
        lambda f: "refused" in f.refusals and "refused-before" not in f.oddities,
        "the meter did not accept the password or key; it was sent once and is not tried again, because meters lock",
        "Check it, its kind (text: or hex:) and the client it belongs to; ask the grid operator.",
    ),
    Case(
        "password-unanswered",
        lambda f: "unanswered" in f.refusals,
        "the password or key was sent once, and no answer came; it is not tried again, because meters lock",
        "Nothing says whether it is right (some meters fall silent at a wrong key): check it and the line, then run "
        "again.",
    ),
    Case(
        "password",
        lambda f: not f.associated and bool(f.wants_password) and not {"refused", "unanswered"} & set(f.refusals),
        "the meter answers and wants a password or key",
        "Ask the grid operator for it and for its client address, then run again with --client, --authentication and "
        "--password (or the keys).",
    ),
    Case(
        "keys",
        lambda f: f.linked and not f.associated and not f.wants_password and "context" in f.refusals,
        "the meter answers, but takes plain messages neither with logical nor with short names: it wants ciphered ones",
        "Ask the grid operator for the keys and for the client they belong to, then run again with --client, "
        "--encryption-key, --authentication-key and --authentication.",
    ),
    Case(
        "no-rights",
        lambda f: (
            f.linked and not f.associated and not f.wants_password and bool({"other", "proposal"} & set(f.refusals))
        ),
        "the meter refuses the association without a usable reason",
        "An earlier association may still be open (wait for the meter's inactivity time, often two minutes), or it "
        "knows none of the client addresses that were tried: give --client.",
    ),
    Case(
        "link-only",
        lambda f: f.linked and not f.associated and set(f.refusals) <= LOST and not f.path_faults,
        "the link stands, but longer messages get no answer",
        "Long frames may be lost: try --max-info 64 or 32; or the path is not transparent (see the converter's mode).",
    ),
    Case(
        "echo",
        lambda f: _silent(f) and _echoes(f),
        "only our own octets come back",
        "The head works but does not see the meter: turn it by 180 degrees, move it; on two wires check A and B. If "
        "it sits well, the address may be none of the common ones (--number, or --physical and --address-size).",
    ),
    Case(
        "silent",
        lambda f: _mute(f) and f.network,
        "nothing at all comes back from this network address",
        "Is it the meter's own port for DLMS (mostly 4059)? Another program or the meter's old reader may hold its "
        "only connection, or it answers certain addresses only. Behind a converter: its speed and parity, the wires "
        "and the head on its serial side.",
    ),
    Case(
        "silent",
        lambda f: _mute(f) and not f.network,
        "nothing at all comes back",
        "Is the head in its place and powered (--dtr, --rts)? Some meters sleep until a key is pressed or light shines "
        "on them; on wires check A and B; a meter on a bus may want its --iec-address. If all is well, its address "
        "may be none of the common ones (--number, or --physical and --address-size): no meter answers to a wrong one.",
    ),
    Case(
        "other-station",
        lambda f: not f.linked and f.seen[Evidence.OTHER_STATION] > 0,
        "frames of other devices are on this line, but none of them answers us",
        "Another master may be asking its meters here: stop it while you search, or give --physical or --iec-address.",
    ),
    Case(
        "time",
        lambda f: f.out_of_time,
        "the time limit ended the search",
        "Give --seconds more, or what you know (--baud, --opening, --client, --physical).",
    ),
)

_UNCLEAR = Case(
    "unclear",
    lambda _: True,
    "something answers, but nothing that this search knows",
    "Try `dlms-mqtt listen` on this line, and `dlms-mqtt decode` for what it prints.",
)

#: What was special about a search that ended well: told after the result.
REMARKS: tuple[Case, ...] = (
    Case("no-energy", lambda f: "no-energy" in f.oddities, "this client is shown neither energy nor power", ""),
    Case(
        "sign-on",
        lambda f: f.identification is not None and "sign-on-speed" not in f.oddities,
        "the meter wants the IEC 62056-21 sign-on at 300 baud 7E1 before HDLC",
        "",
    ),
    Case(
        "sign-on-speed",
        lambda f: "sign-on-speed" in f.oddities,
        "the meter wants the IEC 62056-21 sign-on before HDLC, and begins it at another speed than 300 (baud)",
        "",
    ),
    Case(
        "asleep",
        lambda f: "asleep" in f.oddities,
        "the meter sleeps until it is woken (wake_up, wake_up_break)",
        "",
    ),
    Case(
        "modem-lines",
        lambda f: "modem-lines" in f.oddities,
        "the head gets its power only with DTR and RTS set as in the block",
        "",
    ),
    Case(
        "request-lost",
        lambda f: "request-lost" in f.oddities,
        "the first sign-on request was not heard: the head may need time after the port opens (opening_delay)",
        "",
    ),
    Case(
        "noise-before-identification",
        lambda f: "noise-before-identification" in f.oddities,
        "rubbish comes before the / of the identification (noise while the head gets its power); it is skipped",
        "",
    ),
    Case(
        "unconfirmed",
        lambda f: bool({"unconfirmed", "confirmation-cut"} & f.oddities),
        "the meter does not confirm the acknowledgement of the sign-on, or only in part: the speed changes by time "
        "(programs that insist on a confirmation fail here)",
        "",
    ),
    Case(
        "confirmation-in-pieces",
        lambda f: "confirmation-in-pieces" in f.oddities,
        "the confirmation of the sign-on comes in pieces, with pauses, and is put together (programs that want it in "
        "one piece fail here)",
        "",
    ),
    Case("echo", lambda f: "echo" in f.oddities, "the line gives back what we send, which is filtered out", ""),
    Case(
        "parity",
        lambda f: "parity" in f.oddities,
        "the port reads the parity bit of 7E1 as data: the sign-on does it in software (parity: none)",
        "",
    ),
    Case(
        "first-frame-lost",
        lambda f: "first-frame-lost" in f.oddities,
        "the first frame after the change of speed was lost, because the meter needs time then; repeats make up for it",
        "",
    ),
    Case(
        "dm",
        lambda f: "dm" in f.oddities,
        "the meter answered in disconnected mode (DM) first, as after a link that was not ended; it was started over",
        "",
    ),
    Case(
        "frmr",
        lambda f: "frmr" in f.oddities,
        "the meter rejected the first frame (FRMR): it still had an old link; it was started over",
        "",
    ),
    Case(
        "odd-ua",
        lambda f: "odd-ua" in f.oddities,
        "its UA carries no parameters, or some of unusual length (a window in one octet, for example): what is missing "
        "counts as the standard's default",
        "",
    ),
    Case("slow", lambda f: f.answered_late, "the meter takes its time to answer", ""),
    Case(
        "readout", lambda f: "readout" in f.oddities, "the meter began a clear-text readout, which was broken off", ""
    ),
    Case(
        "association-stuck",
        lambda f: "association-stuck" in f.oddities,
        "an earlier association was still open and had to time out",
        "",
    ),
    Case(
        "max-pdu",
        lambda f: "max_pdu" in f.oddities,
        "the meter refuses the largest message that is usually proposed and wants another (max_pdu; 0: no limit)",
        "",
    ),
    Case("short-names", lambda f: "referencing" in f.oddities, "the meter uses short names (referencing: sn)", ""),
    Case(
        "lists",
        lambda f: "lists" in f.oddities,
        "the meter falls silent when it is asked for several values at once; they are asked one by one (conformance)",
        "",
    ),
    Case("conformance", lambda f: "conformance" in f.oddities, "the meter refuses to hear of newer services", ""),
    Case(
        "long-frames",
        lambda f: "max_info" in f.oddities,
        "check sequences of long frames are wrong: shorter frames are used (max_info), and the head may sit badly",
        "",
    ),
    Case(
        "damaged-frames",
        lambda f: "damaged-frames" in f.oddities and "max_info" not in f.oddities,
        "many frames arrive with wrong check sequences and are asked for again: the head has moved or the light is bad",
        "",
    ),
    Case(
        "release",
        lambda f: "release-unanswered" in f.oddities,
        "the meter does not answer the release (no_release)",
        "",
    ),
    Case(
        "logical-devices",
        lambda f: "logical-devices" in f.oddities,
        "it holds several logical devices, each with an address (server) of its own",
        "",
    ),
    Case(
        "more-clients",
        lambda f: bool(f.wants_password) and f.associated,
        "other clients of this meter want a password",
        "",
    ),
)


def _only_clear_text(facts: Facts) -> bool:
    """Has it sent a readout, or signed on without a word of HDLC (mode E)?"""
    identification = facts.identification
    return facts.sign_on["clear-text"] > 0 or (
        identification is not None and (facts.seen[Evidence.READOUT] > 0 or not identification.offers_mode_e)
    )


#: What is told while the search goes on, once each, and from which time on (s): it may be all that there is to know.
NEWS: tuple[tuple[Case, float], ...] = (
    (
        Case(
            "clear-text",
            lambda f: not f.linked and _only_clear_text(f),
            "the meter tells its values in clear text",
            "It is asked for HDLC, which few of them speak, and then read.",
        ),
        0.0,
    ),
    (
        Case(
            "echo",
            lambda f: _silent(f) and _echoes(f),
            "only our own octets have come back so far",
            "The head works; does it see the meter? Turn it by 180 degrees, or on two wires check A and B.",
        ),
        10.0,
    ),
    (
        Case(
            "silent",
            lambda f: _mute(f) and f.network,
            "nothing at all has come back so far",
            "Check the port's number meanwhile, and that no other program reads the meter.",
        ),
        10.0,
    ),
    (
        Case(
            "silent",
            lambda f: _mute(f) and not f.network,
            "nothing at all has come back so far",
            "Check wiring, power and the seat of the head meanwhile.",
        ),
        10.0,
    ),
)


def news(facts: Facts, seconds: float) -> list[Case]:
    """What can be told after so many seconds."""
    return [case for case, earliest in NEWS if seconds >= earliest and case.when(facts)]


GOING_ON = "The search goes on for at most {seconds} s."


class News(str):
    """What is told while the search goes on, in English, and what other languages need; ``seconds``: 0 if unknown."""

    __slots__ = ("case", "seconds")
    case: Case
    seconds: float

    def __new__(cls, case: Case, seconds: float = 0.0) -> News:
        """The sentence of a case, what to try, and how long the search may still take (s)."""
        going_on = f" {GOING_ON.format(seconds=f'{seconds:.0f}')}" if seconds else ""
        text = super().__new__(cls, f"{case.sentence[:1].upper()}{case.sentence[1:]}. {case.step}{going_on}")
        text.case, text.seconds = case, seconds
        return text


def nobody_there(facts: Facts) -> bool:
    """Behind an address that tells no speed, or with an echo: not one octet of a meter, and nothing that hangs up."""
    return (not facts.has_speed or _echoes(facts)) and _silent(facts) and not facts.closed


#: Cases of meters that are listened to.
SPEAKS = frozenset({"push", "telegram"})


def causes(facts: Facts) -> list[Case]:
    """Every cause that the facts speak for, the surest first; never none.

    Where it is known what the meter does, only that is told: guesses about a silent line would contradict it.
    """
    found = [case for case in CAUSES if case.when(facts)]
    return [case for case in found if case.name in SPEAKS] or found or [_UNCLEAR]


def remarks(facts: Facts) -> list[Case]:
    """What was special."""
    return [case for case in REMARKS if case.when(facts)]
