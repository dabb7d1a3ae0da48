"""A judge of what stands in Kafka, which shares no code with the product.

It reads the topics of a prefix with confluent-kafka (read_committed), decodes them with fastavro by schemas that it
puts together itself, and compares them with the sandbox's own log, from first principles: what upstream told must be
there, once, in order, unharmed, and the cursor must never have been ahead of it.

    python -m tests.oracle --bootstrap HOST:PORT --prefix PREFIX --sandbox URL

Nobody may be writing meanwhile. Nothing in here imports the product.
"""

from .judge import judge
from .reading import Stored, read_topics
from .upstream import Change, read_log
from .verdict import Verdict

__all__ = ["Change", "Stored", "Verdict", "audit", "judge", "read_log", "read_topics"]


def audit(
    bootstrap: str,
    prefix: str,
    sandbox: str,
    *,
    persons: frozenset[str] | None = None,
    permit: frozenset[str] | None = None,
    patience: float = 120,
) -> Verdict:
    """Read everything and judge it.

    sandbox: its URL. persons: the codes that the feed follows; permit: the data groups that it covers; None: all.
    patience: seconds to wait for the end of a transaction that is still open. Raises TimeoutError when it is not over
    then.
    """
    changes = read_log(sandbox)
    stored = read_topics(bootstrap, prefix, patience=patience)
    return judge(changes, stored, prefix, persons=persons, permit=permit)
