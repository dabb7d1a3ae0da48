"""What no other story tells of, and what nobody has announced."""

from datetime import date

from producer.sandbox import further
from producer.sandbox.dice import Dice
from producer.sandbox.register import Person, Register, pv
from producer.sandbox.stories.telling import Story, Told, marked


def further_groups(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """Two or three of the kinds that no other story tells of, in their turn; what the person has is told once more."""
    if person.dead:
        return
    groups = []
    for _ in range(2 + dice.below(2)):
        kind = further.kinds()[register.turns % len(further.kinds())]
        register.turns += 1
        if person.groups.get(kind.tietoryhma):
            groups.append(marked(person.one(kind.tietoryhma), "LISATIETO"))
        else:
            # Dice of its own: a field or code that is added to the data changes this kind of group alone.
            own = Dice(register.seed, 4, register.turns)
            other = register.somebody(own, lambda one: one is not person) or person
            person.groups[kind.tietoryhma] = [further.made(kind, day, own, other)]
            groups.append(marked(person.one(kind.tietoryhma), "LISATTY"))
    yield Told(person, groups)


def unknown_group(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A group that no interface description knows; such appear without notice. Suits everybody."""
    group = person.put(
        "HIEKKALAATIKON_UUSI_RYHMA",
        uusiTieto=dice.pick(("yksi", "kaksi", "kolme")),
        luku=dice.below(2**31),
        sisakkainen={"alkupv": pv(day), "lista": [dice.below(10), None, True, 0.5]},
    )
    yield Told(person, [marked(group, "LISATTY")])


def unknown_field(person: Person, day: date, dice: Dice, register: Register) -> Story:
    """A known group with a field that nobody announced. Suits everybody."""
    status = person.one("SIVIILISAATY")["siviilisaaty"]
    group = person.put("SIVIILISAATY", siviilisaaty=status, uusiKentta={"arvo": dice.below(2**31)})
    yield Told(person, [marked(group, "MUUTETTU")])
