"""What one row of the class tables looks like.

Attributes and methods are written as ``name:type``, separated by blanks, in the Blue Book's order; attribute 1
(``logical_name``) is in every class and left out. The type ``choice`` stands for "the meter decides". A method may
say its number (``3=read_by_logicalname:array``) where the Blue Book leaves a gap.

What an attribute means stands behind its type, here and nowhere else:

    /value    what the object is for: a number, text or time; the first is the one that its code alone names
    /values   several numbers in one scale
    /time     when the value was taken

An attribute named ``scaler_unit`` scales the ``/value`` and ``/values`` of its class.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One interface class in one or more versions that look alike.

    ``first_method`` is the offset of method 1 from the base name under short-name referencing (-1: not known).
    """

    class_id: int
    versions: tuple[int, ...]
    name: str
    attributes: str
    methods: str = ""
    first_method: int = -1
