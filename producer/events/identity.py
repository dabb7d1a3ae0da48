"""Ids that the same change gets at every fetch: made of its content alone, never of where or when it was read.

UUID version 8 (RFC 9562: "custom"), as text. 120 bits are the hash's; the two that the variant leaves free are zero.
"""

import re
from collections.abc import Callable
from hashlib import sha256, shake_128
from struct import Struct
from typing import Any, Final, Protocol, TypeGuard

from producer.events.spell import canonical
from producer.redaction import CHECK

KEY_MAX: Final = 64  # characters; an identity code has 11

_BUILDING: Final = re.compile(rf"[0-9]{{9}}[{CHECK}]")

_DIGITS: Final = Struct("8s4s3s3s12s")  # the hexadecimal digits of a UUID that are free in version 8
_UUID8: Final = b"%b-%b-8%b-8%b-%b"


class Digest(Protocol):
    def hexdigest(self) -> str: ...


Hasher = Callable[[bytes], Digest]  # SHA-256, or what stands in for it


def record_id(record: Any, hasher: Hasher = sha256) -> str:
    """SHA-256 of the canonical JSON (sorted keys, UTF-8) of a raw change record."""
    digits = hasher(canonical(record)).hexdigest().encode()
    return (_UUID8 % _DIGITS.unpack_from(digits)).decode()


def event_ids(record: str, key: str, count: int) -> list[bytes]:
    """The ids of a record's groups, in order, as published under `key`.

    15 bytes each of the SHAKE-128 stream over `<recordId>/<key>`: an id depends on the group's place, not on `count`.
    """
    digits = shake_128(f"{record}/{key}".encode()).hexdigest(15 * count).encode()
    return [_UUID8 % parts for parts in _DIGITS.iter_unpack(digits)]


def usable_code(value: Any) -> TypeGuard[str]:
    """Whether a value can be an event's key: text of 1 to KEY_MAX characters that UTF-8 can carry."""
    if type(value) is not str or not 0 < len(value) <= KEY_MAX:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def usable_building(value: Any) -> TypeGuard[str]:
    """Whether a value is a permanent building id (PRT): nine digits and their check character.

    Stricter than with persons, whose codes upstream vouches for: where buildings stand in a record is our assumption.
    """
    return type(value) is str and bool(_BUILDING.fullmatch(value)) and value[9] == CHECK[int(value[:9]) % 31]
