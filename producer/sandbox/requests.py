"""The request bodies: exactly the known properties, of exactly their types (`additionalProperties: false`)."""

from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from producer.model import CURSOR_MAX

MOST_CODES: Final = 1000  # in one request of perustiedot or perustiedot-vko


class _Body(BaseModel):
    # A property that is left out is not the same as null, which is refused: hence no `| None` here.
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    def given(self, name: str) -> bool:
        return name in self.model_fields_set


class Muutokset(_Body):
    cursor: Annotated[int, Field(alias="viimeisinKirjausavain", ge=0, le=CURSOR_MAX)]
    hetulista: list[str] = Field(default=[], repr=False)


class Perustiedot(_Body):
    hetulista: list[str] = Field(max_length=MOST_CODES, repr=False)
    tietoryhmat: list[str] = []


class PerustiedotVko(_Body):
    hetulista: list[str] = Field(default=[], max_length=MOST_CODES, repr=False)
    kuntakoodit: list[str] = []
    tietoryhmat: list[str] = []

    @model_validator(mode="after")
    def _one_selection(self) -> Self:
        if self.given("hetulista") == self.given("kuntakoodit"):
            raise ValueError("either hetulista or kuntakoodit")
        return self
