"""Requests to a simulated meter and its answers, over the wrapper, one by one and without a client of ours."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.protocol.acse.messages import Aarq, ApplicationContext
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.framing.wrapper import encode_frame
from dlms_mqtt.protocol.layout import Apdu
from dlms_mqtt.simulator import Meter, MeterServer, make_link
from dlms_mqtt.simulator.server.associations import LN_SERVICES


def served(meter: Meter) -> MeterServer:
    """A connection to this meter, nothing sent yet."""
    return MeterServer(meter, make_link("wrapper", meter))


def answer_to(server: MeterServer, request: Apdu | bytes, client: int = 17) -> Any:
    """The APDU that comes back, None for silence."""
    octets = request if isinstance(request, bytes) else request.encode()
    answer = server.receive(encode_frame(octets, client, 1))
    return decode_apdu(answer[8:]) if answer else None


def aarq(
    context: ApplicationContext | bytes = ApplicationContext.LN, initiate: Apdu | None = None, **fields: Any
) -> Aarq:
    """Asks for all services, without a secret."""
    wanted = InitiateRequest(conformance=LN_SERVICES) if initiate is None else initiate
    return Aarq(**{"application_context": context, "user_information": wanted.encode(), **fields})
