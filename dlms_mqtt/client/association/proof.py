"""Passes 3 and 4 of high-level security: we answer the meter's challenge, and it answers ours.

Source: Green Book ed. 8, clause 9.2.2.2 (the four passes); Blue Book ed. 12, clauses 4.4.3 and 4.4.4 (the association
classes and their reply_to_HLS_authentication).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dlms_mqtt.client.association.association import Association, wrong_secret
from dlms_mqtt.client.association.ciphering import Ciphering
from dlms_mqtt.client.refusals import NO_SUCH_OBJECT
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import AccessRefused, ActionRefused, AssociationRefused, AuthenticationRefused
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

#: Class and method of the association object that take our answer, by the way of referencing.
REPLY_TO_HLS = {"ln": (15, 1), "sn": (12, 8)}
_ASSOCIATION_LN = 15
_CURRENT = Obis((0, 0, 40, 0, 0, 255))  # "the association I am in"; not each meter has an object under this name
_ASSOCIATIONS = tuple(Obis((0, 0, 40, 0, instance, 255)) for instance in range(1, 9))
# Refusals that say that the object is not there, so nothing about the secret.

Invoke = Callable[[MethodDescriptor, Data], Awaitable[Data | None]]


async def prove(invoke: Invoke, ciphering: Ciphering, agreed: Association, known: Obis) -> Obis:
    """Prove that we know the secret, and check that the meter does. The association object that took the proof.

    ``known``: where it is thought to be. AuthenticationRefused: the meter did not take our proof; AssociationRefused:
    it has no such object; SecurityError: it does not know the secret itself.
    """
    try:
        with ciphering.under_the_global_key():
            obis, reply = await _reply_to_hls(invoke, ciphering, agreed, known)
    except (ActionRefused, AccessRefused) as error:
        raise _refusal(error, ciphering.settings) from error
    ciphering.verify(agreed, reply.value if reply is not None else b"")
    return obis


async def _reply_to_hls(
    invoke: Invoke, ciphering: Ciphering, agreed: Association, known: Obis
) -> tuple[Obis, Data | None]:
    """The meter's answer to our proof. Where the object is not the one of the settings, it is looked for."""
    class_id, number = REPLY_TO_HLS[ciphering.settings.referencing]
    others = _ASSOCIATIONS if known == _CURRENT and class_id == _ASSOCIATION_LN else ()
    for obis in (known, *others):
        answer = Data(DataType.OCTET_STRING, ciphering.answer(agreed))
        try:
            return obis, await invoke(MethodDescriptor(class_id, obis, number), answer)
        except (ActionRefused, AccessRefused) as error:
            refused = error
            if error.name not in NO_SUCH_OBJECT:  # it may count wrong answers: not one more
                break
    raise refused


def _refusal(
    error: ActionRefused | AccessRefused, settings: ConnectionSettings
) -> AssociationRefused | AuthenticationRefused:
    if error.name in NO_SUCH_OBJECT:
        return AssociationRefused(
            f"the meter takes the proof of the secret elsewhere than at {settings.association}",
            code=error.code,
            name=error.name,
            hint="It says nothing about the secret. --association names the object of this client, "
            "0.0.40.0.N.255; the meter's papers or its object list tell N.",
        )
    return AuthenticationRefused(
        f"the meter did not accept our proof of the secret: {error.name}",
        code=error.code,
        name=error.name,
        hint=wrong_secret(settings),
    )
