"""What happens to persons: each story is a generator that yields one change record after another.

A story is told the person, the day of registration, dice and the register. It changes the person's groups in force,
yields what the record tells, and gets back the day of its next record when its time has come. What a record tells
names every kind that it changed, and nobody else's groups change with it: a registration of two persons is two
records (`more`), and each changes its own. A story that does not suit the person returns without a record. To add one,
write the generator and give it a weight in `STORIES`.

The stories, by module: moves inside a municipality and between two, a cancelled move, e-mail and postal address
(home); surname, call name, mother tongue, citizenship, corrected code, two persons merged, turvakielto (identity);
birth, marriage, divorce, death, death undone (family); custody given and taken (custody); every other known kind, an
unknown group, an unknown field (odd). Groups, attributes and order follow what implementers have seen of
VTJ-muutosrajapinta: of moves, names, mother tongue, citizenship, custody given, death, turvakielto and corrected code.
Those of the rest are inferred from it.
"""

from typing import Final

from producer.sandbox.stories.custody import custody
from producer.sandbox.stories.family import birth, death, divorce, marriage
from producer.sandbox.stories.home import cancelled_move, email, move, postal_address
from producer.sandbox.stories.identity import (
    call_name,
    citizenship,
    code_corrected,
    merged,
    mother_tongue,
    name_change,
    turvakielto,
)
from producer.sandbox.stories.odd import further_groups, unknown_field, unknown_group
from producer.sandbox.stories.telling import Story, Teller, Told, newcomer

__all__ = ["STORIES", "Story", "Told", "newcomer"]

# Weights are picked so that a record has about 2.5 groups. Some stories suit few, and are told less often than others.
STORIES: Final[tuple[tuple[int, Teller], ...]] = (
    (34, email), (14, postal_address), (10, move), (2, cancelled_move),
    (5, name_change), (8, call_name), (4, mother_tongue), (4, citizenship), (3, code_corrected), (1, merged),
    (4, turvakielto),
    (6, birth), (6, marriage), (10, divorce), (4, death),
    (8, custody),
    (5, further_groups), (3, unknown_group), (3, unknown_field),
)  # fmt: skip
