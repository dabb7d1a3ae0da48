"""One tree of errors; the class decides what happens.

ProducerError                      message for people; never an identity code, name, address or body
├── Stop                           ends the process: `hint` says what to do next, `exit_code` is documented
│   ├── SettingsError         2    a setting or argument is wrong or missing
│   ├── UpstreamRefused       3    400, 401, 403 or an X-Road Client.* fault: asking again will not help
│   ├── MalformedPage         4    upstream's answer breaks the interface's rules; the cursor stays
│   ├── TopicsDiffer          5    a topic is missing or not as planned
│   ├── KafkaRefused          5    Kafka does not let us: TLS, the account, an ACL, or a limit too small for the work
│   ├── CursorUnreadable      6    the stored cursor cannot be trusted
│   ├── LedgerUnreadable      6    the ledger cannot be read: of a newer release, cut short, or compacted
│   ├── UpstreamGone          7    `run --once` gave up waiting for upstream
│   ├── KafkaGone             8    Kafka could not be reached in time at start, or by a command
│   ├── RegistryFault         9    the schema registry is away, refuses, or lacks what we write with
│   ├── PoisonPage           10    the same page has failed again and again, and nobody was away; the cursor stays
│   └── Busy                 75    another instance holds the feed, or a group is at work (EX_TEMPFAIL: try later)
├── UpstreamUnavailable       7    429, 5xx, resets, time-outs, answers cut short: wait and ask again
├── Doubt                     8    the outcome at Kafka is not known: a new producer, and the cursor is read again
│   └── Rejected                   Kafka answered, and does not take these records
└── StepDown                 75    this instance lost the shard: let go, join again, begin at the stored cursor
"""


class ProducerError(Exception):
    """The root. Its text is meant for operators and carries no personal data.

    fault: of upstream's answers the status (`401`) or X-Road's type; `TLS`, `TLS alert`; else empty.
    hint: what to do next. exit_code: of a command that ends with it.
    """

    fault = ""
    exit_code = 1
    hint = ""


class Stop(ProducerError):
    """Ends the process; nothing is lost, the stored cursor is where the last commit left it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SettingsError(Stop):
    exit_code = 2


class UpstreamRefused(Stop):
    exit_code = 3


class MalformedPage(Stop):
    exit_code = 4


class TopicsDiffer(Stop):
    exit_code = 5


class KafkaRefused(Stop):
    exit_code = 5


class CursorUnreadable(Stop):
    exit_code = 6


class LedgerUnreadable(Stop):
    exit_code = 6


class UpstreamGone(Stop):
    exit_code = 7


class KafkaGone(Stop):
    exit_code = 8


class RegistryFault(Stop):
    exit_code = 9


class PoisonPage(Stop):
    exit_code = 10


class Busy(Stop):
    exit_code = 75


class UpstreamUnavailable(ProducerError):
    """Upstream cannot answer now. retry_after: seconds that it asked us to wait, or None."""

    exit_code = 7
    hint = "Try again later; vtj-producer check finds the broken link."

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Doubt(ProducerError):
    """A Kafka call failed or did not end in time; what the broker made of it is not known."""

    exit_code = 8
    hint = "Is Kafka up, and reachable from here? vtj-producer check tells. Then do it again."


class Rejected(Doubt):
    """Kafka refuses the records for what they are: the same ones will not fare better, unless it was set anew."""


class StepDown(ProducerError):
    """Another instance owns the shard now, or the coordinator took it back."""

    exit_code = 75
    hint = "Try again when the other has ended: vtj-producer status tells who is at work."
