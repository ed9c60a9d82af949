"""A captured dialogue as one: who talks to whom, what was agreed, the counters, every value once and with its unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from dlms_mqtt.cosem.classes import scaler_attribute

Message = Mapping[str, Any]
_AGREED = ("application_context", "mechanism", "result", "diagnostic")
_OFFERED = ("conformance", "max_pdu_size")


def conversation(messages: Sequence[Message]) -> dict[str, Any] | None:
    """Of the messages of ``decode --json``; None where nobody asks in them."""
    requests = [message for message in messages if _asks(_name(message))]
    if not requests or len(messages) == len(requests):
        return None
    frames = requests[0]["frames"]
    who = {"client": frames[0]["source"], "server": frames[0]["destination"]} if frames else {}
    return {
        **who,
        "associations": list(_associations(messages)),
        "requests": len(requests),
        "answers": sum(_answers(_name(message)) for message in messages),
        "counters": _counters(messages),
        "values": _values(messages),
    }


def _name(message: Message) -> str:
    return str(message["apdu"]["name"])


def _asks(name: str) -> bool:
    return name == "aarq" or "-request" in name


def _answers(name: str) -> bool:
    return name == "aare" or "-response" in name


def _associations(messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """What the meter said to each AARQ; ``result`` null where no answer was captured."""
    open_one: dict[str, Any] | None = None
    for message in messages:
        apdu = message["apdu"]
        if apdu["name"] == "aarq":
            if open_one:
                yield open_one
            open_one = _agreed(apdu) | {"result": None}
        elif apdu["name"] == "aare":
            yield (open_one or {}) | _agreed(apdu)
            open_one = None
    if open_one:
        yield open_one


def _agreed(apdu: Mapping[str, Any]) -> dict[str, Any]:
    inner = apdu.get("user_information")
    offered = inner if isinstance(inner, Mapping) else {}
    titles = (apdu.get("calling_ap_title") and {"client_title": apdu["calling_ap_title"]}) or (
        apdu.get("responding_ap_title") and {"meter_title": apdu["responding_ap_title"]}
    )
    return {
        **{name: apdu[name] for name in _AGREED if name in apdu},
        **{name: offered[name] for name in _OFFERED if name in offered},
        **(titles or {}),
    }


def _counters(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Of each sender: the first and the last invocation counter, and how many did not rise."""
    found: dict[str, dict[str, Any]] = {}
    for sender, part in _ciphered(messages):
        number, title = part["invocation_counter"], part["system_title"]
        empty = {"sender": sender, "system_title": None, "first": number, "last": number, "messages": 0, "not_risen": 0}
        row = found.setdefault(sender, empty)
        row["system_title"] = row["system_title"] or title
        row["not_risen"] += bool(row["messages"] and number <= row["last"])
        row["messages"] += 1
        row["last"] = number
    return list(found.values())


def _ciphered(messages: Sequence[Message]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Who sent it, and the headers of what was ciphered, also of what an AARQ or AARE carries."""
    sender = ""
    for message in messages:
        sender = _sender(message) or sender
        inner = message["apdu"].get("user_information")
        for part in (inner if isinstance(inner, Mapping) else {}, message):
            if "ciphering" in part:
                yield sender, part["ciphering"]


def _sender(message: Message) -> str:
    """The client or the meter, as far as the message tells it; else the addresses; nothing of a part of a message."""
    name, frames = _name(message), message["frames"]
    if _asks(name) or name == "rlrq":
        return "client"
    if _answers(name) or name == "rlre":
        return "meter"
    return f"{frames[0]['source']} > {frames[0]['destination']}" if frames else ""


def _values(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Every attribute that was answered, once and as it was answered last, with the scaler and unit that came apart."""
    rows = {
        (row["class"], row["obis"], row["attribute"]): row
        for message in messages
        if _answers(_name(message))
        for row in message.get("values", ())
        if "class" in row and "obis" in row
    }
    return [_with_unit(key, row, rows) for key, row in rows.items()]


def _with_unit(key: tuple[int, str, int], row: dict[str, Any], rows: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    class_id, obis, number = key
    scaled = rows.get((class_id, obis, scaler_attribute(class_id, number)), {})
    raw = row.get("raw")
    if "scaler" in row or "scaler" not in scaled or not isinstance(raw, int | float) or isinstance(raw, bool):
        return row
    value = Decimal(str(raw)).scaleb(scaled["scaler"])
    return {**row, "scaler": scaled["scaler"], "unit": scaled["unit"], "value": value}
