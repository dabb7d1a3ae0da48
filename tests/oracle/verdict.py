"""What the oracle found."""

from dataclasses import dataclass, field

DETAILS_MAX = 50


@dataclass
class Verdict:
    """Figures, and the first details. A detail names a change by its index in the sandbox's log, never a person."""

    changes: int = 0  # change records that the cursor has passed
    events: int = 0  # events and dead letters that stand in the topics
    commits: int = 0  # ledger entries
    cursor: int | None = None  # the latest committed

    lost: int = 0  # passed by the cursor, yet nowhere
    doubled: int = 0  # there more often than upstream told it
    out_of_order: int = 0  # behind something later, for the same person in the same topic
    ahead: int = 0  # commits whose cursor passed what was not yet there, or never came
    orphans: int = 0  # told by nobody, or not passed by the cursor
    wrong: int = 0  # there, but with other content, place, key or headers than it should
    ledger: int = 0  # faults of the ledger: gaps, offsets, counts, digests

    details: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        counts = (self.lost, self.doubled, self.out_of_order, self.ahead, self.orphans, self.wrong, self.ledger)
        return sum(counts)

    @property
    def sound(self) -> bool:
        return self.faults == 0

    def find(self, figure: str, detail: str, count: int = 1) -> None:
        """Add to a figure."""
        setattr(self, figure, getattr(self, figure) + count)
        if len(self.details) < DETAILS_MAX:
            self.details.append(f"{figure}: {detail}")

    def __str__(self) -> str:
        names = ("lost", "doubled", "out_of_order", "ahead", "orphans", "wrong", "ledger")
        figures = ", ".join(f"{getattr(self, name)} {name.replace('_', ' ')}" for name in names)
        head = f"{self.changes} changes, {self.events} events, {self.commits} commits: {figures}"
        return "\n".join([head, *(f"  {detail}" for detail in self.details)])
