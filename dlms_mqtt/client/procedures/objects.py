"""What a meter has: the object list of the association, kept between sessions, and classes for bare OBIS codes.

The list is long and slow to read, and it differs by client, authentication and firmware; it is kept under all three
and the meter's own name, so another meter on the same line never gets the list of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.apart import apart
from dlms_mqtt.client.refusals import NO_SUCH_OBJECT
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.cosem.catalogue import DEFAULT_ATTRIBUTE, default_class
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.object_list import ObjectInfo, add_access_rights_sn, decode_object_list, decode_object_list_sn
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import (
    AccessRefused,
    AttributeFailed,
    ConfigError,
    ConnectionLost,
    MeterRefused,
    RemoteProtocolError,
    ResponseTimeout,
)
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

if TYPE_CHECKING:
    from dlms_mqtt.client.state.store import Store

_Key = tuple[str, int, str, str]  # of a kept list: meter, client, access, firmware
LOGICAL_DEVICE_NAME = AttributeDescriptor(1, Obis((0, 0, 42, 0, 0, 255)), 2)
FIRMWARE = AttributeDescriptor(1, Obis((1, 0, 0, 2, 0, 255)), 2)
_ASSOCIATION = {"ln": 15, "sn": 12}
_ACCESS_RIGHTS_LIST = 3
_FIRST_WITH_RIGHTS = 1  # version of Association SN
_DECODERS = {"ln": decode_object_list, "sn": decode_object_list_sn}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the meter says it is; empty where it does not say."""

    system_title: str
    logical_device_name: str
    firmware: str

    @property
    def name(self) -> str:
        """A name that no other meter has, or an empty one."""
        return self.logical_device_name or self.system_title


async def identify(client: DlmsClient, *, proof: bool = False) -> Identity:
    """Ask the meter who it is (one round trip). ``proof``: DlmsMqttError where neither question brings an answer."""
    name, firmware = await client.get_many([LOGICAL_DEVICE_NAME, FIRMWARE])
    if proof and isinstance(name, AttributeFailed) and isinstance(firmware, AttributeFailed):
        raise name.error
    return Identity(client.association.system_title.hex(), text_of(name), text_of(firmware))


def text_of(answer: Data | MeterRefused) -> str:
    """A name or number that the meter gives as text or octets; empty for a refusal."""
    value = answer.value if isinstance(answer, Data) else ""
    if isinstance(value, bytes):
        return value.decode("ascii") if value.isascii() and value.decode("ascii").isprintable() else value.hex()
    return str(value)


async def read_objects(client: DlmsClient, store: Store | None = None, *, fresh: bool = False) -> Sequence[ObjectInfo]:
    """The object list of this association, from the store where it is the same meter and firmware."""
    settings = client.settings
    store = None if client.reads_out else store  # a readout shows what there is each time
    key = await _key(client) if store is not None else None
    decoder = _DECODERS[settings.referencing]
    if store is not None and key and key[0] and not fresh and (kept := await _kept(store, key, decoder)):
        return await _with_rights(client, kept)
    if client.memory.short_names and not fresh:  # who answers could only be asked with the names out of this very list
        return await _with_rights(client, tuple(client.memory.short_names.values()))
    octets = await client.get_raw(AttributeDescriptor(_ASSOCIATION[settings.referencing], settings.association, 2))
    objects = await apart(len(octets), lambda: decoder(octets))
    if store is not None and key and key[0] and objects:  # an empty one may be the mood of a moment
        store.keep_object_list(*key, octets)
    return await _with_rights(client, objects)


async def list_or_why(
    client: DlmsClient, store: Store | None = None, *, fresh: bool = False
) -> tuple[Sequence[ObjectInfo], str]:
    """The object list; or nothing, and why: the meter refuses it, is silent, hangs up, sends none or none that is one.

    Other questions can be asked then; DlmsMqttError where the meter is gone.
    """
    try:
        found = await read_objects(client, store, fresh=fresh)
    except (MeterRefused, RemoteProtocolError, ResponseTimeout, ConnectionLost) as error:
        await client.recover(error)
        return (), error.message
    return found, "" if found else "it is empty"


async def _key(client: DlmsClient) -> _Key:
    """Under what the list of this association is kept: meter, client, access, firmware (one round trip)."""
    settings, identity = client.settings, await identify(client)
    access = settings.authentication + ("" if settings.referencing == "ln" else f" {settings.referencing}")
    return identity.name, settings.client, access, identity.firmware


async def _at_hand(client: DlmsClient, store: Store | None) -> Iterable[ObjectInfo]:
    """The meter's own list as far as it is known without reading it: it is long."""
    if client.memory.short_names:
        return client.memory.short_names.values()
    if client.reads_out:
        return await read_objects(client)
    if store is None or not store.has_object_lists:
        return ()
    return await _kept(store, await _key(client), _DECODERS[client.settings.referencing])


async def _kept(store: Store, key: _Key, decoder: Callable[[bytes], Sequence[ObjectInfo]]) -> Sequence[ObjectInfo]:
    """The list that the store has; empty where it has none, or one that was damaged there: the meter is asked again."""
    octets = store.object_list(*key)
    if octets is None:
        return ()
    try:
        return await apart(len(octets), lambda: decoder(octets))
    except RemoteProtocolError:
        return ()


async def _with_rights(client: DlmsClient, objects: Sequence[ObjectInfo]) -> Sequence[ObjectInfo]:
    """With short names the rights are in an attribute of their own, which older associations do not have."""
    if client.settings.referencing != "sn":
        return objects
    association = next((item for item in objects if item.class_id == _ASSOCIATION["sn"]), None)
    if association is None or association.version < _FIRST_WITH_RIGHTS:
        return objects
    rights = AttributeDescriptor(_ASSOCIATION["sn"], client.settings.association, _ACCESS_RIGHTS_LIST)
    try:
        return add_access_rights_sn(objects, await client.get_raw(rights), association.version)
    except MeterRefused:
        return objects


async def resolve(client: DlmsClient, refs: Sequence[ObjectRef], store: Store | None = None) -> list[int]:
    """The class of each object, as of ``resolve_each``. AccessRefused for one that is nowhere."""
    found = await resolve_each(client, refs, store)
    for item in found:
        if isinstance(item, AccessRefused):
            raise item
    return [item for item in found if isinstance(item, int)]


async def resolve_each(
    client: DlmsClient, refs: Sequence[ObjectRef], store: Store | None = None
) -> list[int | AccessRefused]:
    """The class of each object: as given, else as this meter's list says where that is at hand, else as nearly every
    meter has it, else as the list says that is read for it; the error for one that is in none of them.
    """
    bare = any(ref.class_id is None for ref in refs)
    known = {item.obis: item.class_id for item in await _at_hand(client, store)} if bare else {}
    classes = [ref.class_id or known.get(ref.obis) or default_class(ref.obis) for ref in refs]
    listed, why = {}, ""
    if None in classes:
        objects, why = await list_or_why(client, store)
        listed = {item.obis: item.class_id for item in objects}
    return [found or listed.get(ref.obis) or _nowhere(ref, why) for ref, found in zip(refs, classes, strict=True)]


async def read_named(
    client: DlmsClient, refs: Sequence[ObjectRef], store: Store | None = None
) -> list[tuple[AttributeDescriptor, Measured | MeterRefused]]:
    """Attributes as people name them, each with its value or what came instead.

    One that is nowhere has class 0 where none was named. A class that was guessed wrong is looked up and tried again.
    """
    answers: list[object] = list(await resolve_each(client, refs, store))
    named = [_attribute(*row) for row in zip(refs, answers, strict=True)]
    there = [index for index, found in enumerate(answers) if isinstance(found, int)]
    for index, answer in zip(there, await client.read([named[index] for index in there]), strict=True):
        answers[index] = answer
    guessed = [answer if index in there else None for index, answer in enumerate(answers)]  # the list is asked once
    for index, class_id in (await resolve_again(client, refs, guessed, store)).items():
        named[index] = _attribute(refs[index], class_id)
        (answers[index],) = await client.read([named[index]])
    return [(at, found) for at, found in zip(named, answers, strict=True) if isinstance(found, Measured | MeterRefused)]


def _attribute(ref: ObjectRef, class_id: object) -> AttributeDescriptor:
    if isinstance(class_id, int):
        return AttributeDescriptor(class_id, ref.obis, ref.attribute(class_id))
    return AttributeDescriptor(ref.class_id or 0, ref.obis, DEFAULT_ATTRIBUTE if ref.number is None else ref.number)


async def resolve_again(
    client: DlmsClient, refs: Sequence[ObjectRef], answers: Sequence[object], store: Store | None = None
) -> dict[int, int]:
    """Where the class of a bare code was guessed and the meter knows no such object: what its list says, by index."""
    wrong = [i for i, (ref, answer) in enumerate(zip(refs, answers, strict=True)) if _is_guess(ref, answer)]
    if not wrong:
        return {}
    listed = {item.obis: item.class_id for item in (await list_or_why(client, store))[0]}
    return {index: listed[refs[index].obis] for index in wrong if refs[index].obis in listed}


def _is_guess(ref: ObjectRef, answer: object) -> bool:
    return ref.class_id is None and isinstance(answer, MeterRefused) and answer.name in NO_SUCH_OBJECT


def _nowhere(ref: ObjectRef, without_list: str) -> AccessRefused:
    """``without_list``: why there is no list to look it up in."""
    return AccessRefused(
        f"the class of {ref.obis} is not known: the meter gives no object list ({without_list})"
        if without_list
        else f"the meter has no object {ref.obis}",
        code=4,
        name="object-undefined",
        target=str(ref.obis),
        hint="Name the class: CLASS/OBIS."
        if without_list
        else "`dlms-mqtt objects` lists what it has; or name the class: CLASS/OBIS.",
    )


async def held(client: DlmsClient, attribute: AttributeDescriptor) -> Data | None:
    """The value that is there; None where the meter does not show it."""
    try:
        return await client.get(attribute)
    except AccessRefused:
        return None


async def type_of(client: DlmsClient, attribute: AttributeDescriptor) -> DataType:
    """The type of the value that is there (as it was last read), else the class's. ConfigError."""
    if (known := client.memory.types.get(attribute)) is not None:
        return known
    found = await held(client, attribute)
    if found is not None:
        return found.type
    row = find(attribute.class_id)
    fixed = row.attribute(attribute.attribute) if row else None
    if fixed is None or fixed.type is None:
        raise ConfigError(
            f"the type of {attribute} is not known, and it cannot be read",
            hint="State it: --type, or 'type' in a request.",
        )
    return fixed.type
