"""One generated Python function per Avro record, from the raw upstream object straight to Avro.

A generated record function looks like this (two nullable fields, the second a record):

    def Kotikunta(d, others=0, head=""):
        if type(d) is not dict: raise Misfit
        get = d.get
        n = 2 + others
        v = get('kuntakoodi')
        if v is None:
            n -= 1; p0 = '\\0'; t0 = ''
        elif type(v) is str and v.isascii() and (k := len(v)) < 4096:
            p0 = SOME_VARINT[k]; t0 = v
        else:
            p0 = '\\2' + text(v); t0 = ''
        v = get('kuntaanMuuttopv')
        if v is None:
            n -= 1; p1 = '\\0'
        else:
            p1 = Paivamaara(v, 0, '\\2')
        if n != len(d): raise Misfit
        return f'{head}{p0}{t0}{p1}'

`others` says how many members of `d` belong to somebody else, so one comparison of counts proves that no member was
overlooked. An explicit null counts as overlooked; `fit` takes it away. Small records, as dates are, are first tried as
if every member were there. Pieces are text (see `wire`).
"""

from collections.abc import Callable, Sequence
from functools import cache
from types import CodeType
from typing import Any

from producer.events import wire
from producer.events.shapes import DAY, TEXT, Choice, Field, Leaf, Many, Record, Shape, Texts

Encoder = Callable[..., str]

SMALL = 3  # members


class Compiler:
    """Keeps what it has generated: a shared record is compiled once for all groups."""

    def __init__(self) -> None:
        self._scope: dict[str, Any] = dict(vars(wire))

    def record(self, record: Record) -> Encoder:
        """`(d, others=0, head="") -> str`; raises wire.Misfit when d is not exactly such a record."""
        made: Encoder = self._scope[self._name(record)]
        return made

    def chunk(self, fields: Sequence[Field]) -> Encoder:
        """`(head, others, *values) -> str`: the fields one behind the other, one argument each, in order.

        others: members to leave out of account in arguments that are records themselves (not in lists).
        """
        lines: list[str] = []
        pieces: list[str] = []
        for at, field in enumerate(fields):
            lines += self._field(field, f"a{at}", at, pieces, missing=(), others="others")
        arguments = "".join(f", a{at}" for at in range(len(fields)))
        source = [f"def chunk(head, others{arguments}):", *lines, f"return f'{{head}}{''.join(pieces)}'"]
        return self._define("chunk", source)

    def _name(self, record: Record) -> str:
        name = record.name.replace(".", "_")
        if name not in self._scope:
            lines = ["if type(d) is not dict: raise Misfit", *_whole(record), "get = d.get"]
            lines.append(f"n = {len(record.fields)} + others")
            pieces: list[str] = []
            for at, field in enumerate(record.fields.values()):
                lines.append(f"v = get({field.name!r})")
                lines += self._field(field, "v", at, pieces, missing=(" n -= 1",), others="0")
            lines += ["if n != len(d): raise Misfit", f"return f'{{head}}{''.join(pieces)}'"]
            self._scope[name] = self._define(name, [f"def {name}(d, others=0, head=''):", *lines])
        return name

    def _define(self, name: str, source: list[str]) -> Encoder:
        text = "\n ".join(source)
        made: dict[str, Encoder] = {}
        exec(_compiled(name, text), self._scope, made)  # noqa: S102 - made of our own schemas
        return made[name]

    def _field(
        self, field: Field, var: str, at: int, pieces: list[str], *, missing: tuple[str, ...], others: str
    ) -> list[str]:
        """Statements that set the pieces of one field from `var`; the names of the pieces join `pieces`."""
        piece, tail = f"p{at}", f"t{at}"
        some = "\\2" if field.nullable else ""
        shape = field.shape
        pieces.append(f"{{{piece}}}")
        lines = []
        if field.nullable:
            lines += [f"if {var} is None:", *missing, f" {piece} = '\\0'"]
        condition = "elif" if field.nullable else "if"
        if shape == TEXT:
            pieces.append(f"{{{tail}}}")
            if field.nullable:
                lines.append(f" {tail} = ''")
            lines += [
                f"{condition} type({var}) is str and {var}.isascii() and (k := len({var})) < 4096:",
                f" {piece} = {'SOME_VARINT' if field.nullable else 'VARINT'}[k]",
                f" {tail} = {var}",
                "else:",
                f" {piece} = '{some}' + text({var})",
                f" {tail} = ''",
            ]
        elif shape == DAY:
            lines += [
                f"{condition} type({var}) is str:",
                f" {piece} = {'SOME_DATES' if field.nullable else 'DATES'}[{var}]",
                "else:",
                " raise Misfit",
            ]
        else:
            value = self._value(shape, var, some, others)
            lines += ["else:", f" {piece} = {value}"] if field.nullable else [f"{piece} = {value}"]
        return lines

    def _value(self, shape: Shape, var: str, some: str, others: str) -> str:
        """An expression: the piece of a value that is not null, behind the branch index `some`."""
        if isinstance(shape, Record):
            return f"{self._name(shape)}({var}, {others}, '{some}')"
        return f"'{some}' + {self._writer(shape)}({var})" if some else f"{self._writer(shape)}({var})"

    def _writer(self, shape: Shape) -> str:
        """The name of a function from a value to its piece."""
        if isinstance(shape, Leaf):
            return shape.write
        if isinstance(shape, Record):
            return self._name(shape)
        if isinstance(shape, Texts):
            return "texts"
        if isinstance(shape, Choice):
            name = "choice_" + "_".join(shape.symbols)
            self._scope.setdefault(name, wire.choice(shape.symbols))
        if isinstance(shape, Many):
            name = f"many_{self._writer(shape.of)}"
            self._scope.setdefault(name, wire.many(self._scope[self._writer(shape.of)]))
        return name


def _whole(record: Record) -> list[str]:
    """Statements for a small record that has all of its members, as dates do: these are asked for at once."""
    fields = [*record.fields.values()]
    if not 0 < len(fields) <= SMALL or not all(one.nullable and one.shape in (TEXT, DAY) for one in fields):
        return []
    values = [f"v{at}" for at in range(len(fields))]
    fit, pieces = [], []
    for value, field in zip(values, fields, strict=True):
        fit.append(f"type({value}) is str")
        if field.shape == DAY:
            pieces.append(f"{{SOME_DATES[{value}]}}")
        else:
            fit.append(f"{value}.isascii()")
            pieces.append(f"{{SOME_VARINT[len({value})]}}{{{value}}}")
    return [
        f"if len(d) == {len(fields)} + others:",
        " try:",
        *(f"  {value} = d[{field.name!r}]" for value, field in zip(values, fields, strict=True)),
        f"  if {' and '.join(fit)}: return f'{{head}}{''.join(pieces)}'",
        " except (KeyError, IndexError): pass  # another member, or a text that is longer than the tables are",
    ]


@cache  # the converters of changes and of states are made of the same sources
def _compiled(name: str, text: str) -> CodeType:
    return compile(text, f"<{name}>", "exec")
