"""Pseudonyms in the place of identity codes, where VTJ_PRIVACY__KEYS asks for them; docs/privacy.md says what for.

    k1.hbmkdfopnajlgcieamkodpfbhclnjgei      k, the key version, and 128 bits of HMAC-SHA-256 as letters from a to p

Neither its letters nor its dot can be part of an identity code, so none arises where a pseudonym stands beside other
text; and the dot makes no plain word of it, so a member's name with one in it is counted as `?` (fit.py).
"""

import hmac
import re
from collections.abc import Collection
from functools import lru_cache, partial
from typing import Any, Final

from producer.config import Privacy
from producer.events.identity import Hasher, usable_code
from producer.model import Header
from producer.redaction import IDENTITY_CODE

# Shapes that overlap, as of a code right behind a date and a hyphen, go together: what is left of one would tell half
# of a code.
_CODE: Final = f"(?={IDENTITY_CODE.pattern})"
_CODES: Final = re.compile(rf"{_CODE}(?:.{{7,10}}?{_CODE})*.{{11}}")

_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_BYTES: Final = 16
_KEPT: Final = 16_384  # codes, about 5 MB
_SHORTEST: Final = 11  # characters of an identity code


class Pseudonyms:
    """Of one secret and one key version.

    of: code → pseudonym, the same always. hasher: SHA-256's stand-in for ids and digests of content, which could be
    guessed from a hash without a key. headers: of every Kafka record. check: tells secrets and versions apart and gives
    none away.
    """

    def __init__(self, secret: bytes, version: int) -> None:
        def key(purpose: str) -> bytes:
            return hmac.digest(secret, f"vtj-producer k{version} {purpose}".encode(), "sha256")

        self._version = version
        self._key = key("code")
        self.of = lru_cache(_KEPT)(self._make)
        self.hasher: Hasher = partial(hmac.new, key("content"), digestmod="sha256")
        self.headers: list[Header] = [("ce_keyversion", str(version).encode())]
        self.check = f"k{version}:{key('check').hex()[:16]}"

    def _make(self, code: str) -> str:
        digest = hmac.digest(self._key, code.encode(), "sha256")
        return f"k{self._version}.{digest[:_BYTES].hex().translate(_LETTERS)}"

    def hide(self, value: Any, fields: Collection[str]) -> Any:
        """A copy of what JSON can hold, without codes: names of members, and whatever is nested, included.

        fields: members that hold codes, wherever they stand: a usable code in one, or in a list there, is replaced
        whole, whatever its shape. Of any other text what is shaped like a code is replaced. Not recursive, so that no
        input can end the program.
        """
        whole: list[Any] = []
        rest: list[tuple[Any, Any, bool]] = [([value], whole, False)]

        def hidden(member: Any, coded: bool) -> Any:
            kind = type(member)
            if kind is str:
                return self.of(member) if coded and usable_code(member) else self._text(member)
            if kind is dict or kind is list:
                copy: Any = kind()
                rest.append((member, copy, coded and kind is list))
                return copy
            return member

        while rest:
            source, copy, coded = rest.pop()
            if type(source) is dict:
                for name, member in source.items():
                    copy[self._text(name)] = hidden(member, name in fields)
            else:
                copy += [hidden(member, coded) for member in source]
        return whole[0]

    def _text(self, text: str) -> str:
        return text if len(text) < _SHORTEST else _CODES.sub(lambda code: self.of(code[0]), text)


def pseudonyms(settings: Privacy) -> Pseudonyms | None:
    """As the settings ask for; None: codes stand as they are."""
    if settings.secret is None or settings.key_version is None:
        return None
    return Pseudonyms(settings.secret.get_secret_value().encode(), settings.key_version)
