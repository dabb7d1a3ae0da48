"""What there is to set, read off the sections: for the loader, `vtj-producer config` and docs/configuration.md."""

import itertools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from producer.config.kinds import Unit
from producer.config.sections import Settings

PREFIX: Final = "VTJ_"
MASK: Final = "********"
WORDS: Final = {
    float: "number",
    int: "whole number",
    bool: "true or false",
    str: "text",
    Path: "file",
    SecretStr: "secret",
}


@dataclass(frozen=True)
class Setting:
    name: str  # dotted, as in TOML: upstream.xroad.client
    field: FieldInfo

    @property
    def env(self) -> str:
        return PREFIX + self.name.upper().replace(".", "__").replace("-", "_")  # there may be - in a feed's name

    @property
    def meaning(self) -> str:
        return self.field.description or ""

    @property
    def default(self) -> Any:
        return self.field.get_default(call_default_factory=True)

    @property
    def example(self) -> str:
        """A valid value, as one would write it in the environment."""
        return str(self.field.examples[0] if self.field.examples else self.default)

    @property
    def unit(self) -> str:
        return next((mark.name for mark in self._marks if isinstance(mark, Unit)), "")

    @property
    def _marks(self) -> list[Any]:
        """What is said of the type, also of one that may be left unset: `Annotated[…] | None`."""
        inner = [getattr(one, "__metadata__", ()) for one in get_args(self.field.annotation)]
        return [*self.field.metadata, *itertools.chain(*inner)]

    @property
    def is_table(self) -> bool:
        return get_origin(self.field.annotation) is dict

    @property
    def type(self) -> str:
        bounds = [
            f"{sign} {bound:g}"
            for mark in self._marks
            for kind, sign, bound in [
                (Gt, ">", getattr(mark, "gt", 0)),
                (Ge, "≥", getattr(mark, "ge", 0)),
                (Le, "≤", getattr(mark, "le", 0)),
            ]
            if isinstance(mark, kind)
        ]
        return ", ".join([_words(self.field.annotation), *bounds])


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(str(choice) for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in arguments if one is not types.NoneType)
    if origin is dict:
        return f"table of {_words(arguments[1])}s"
    if origin is tuple:
        return f"list of {_words(arguments[0])}s"
    if hasattr(annotation, "__metadata__"):
        return _words(annotation.__origin__)
    return WORDS[annotation]


def settings(section: type[BaseModel] = Settings, path: str = "") -> Iterator[Setting]:
    """Every setting, in the order of the sections."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{path}{name}.")
        else:
            yield Setting(path + name, field)


def plain(value: Any) -> Any:
    """A value as JSON can hold it, secrets masked."""
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return str(value) if isinstance(value, Path) else value


def shown(value: Any) -> str | None:
    """A value for people, secrets masked; None when it is unset."""
    if value is None or value == {}:
        return None
    if isinstance(value, dict):
        return ", ".join(f"{name}: {shown(one)}" for name, one in value.items())
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()  # as it is written in the environment and in TOML
    return f"{value:.15g}" if isinstance(value, float) else str(plain(value))
