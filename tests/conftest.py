"""What every test may ask for: a real Kafka, and names of its own on it.

`broker` is shared by the whole run: take names from `prefix`. `own_broker` makes one to be killed and paused.
How a broker is found is told in tests/broker/discovery.py; without one these tests fail, none is skipped. The same
goes for `registry` and `own_registry`: tests/registry/discovery.py.
"""

import itertools
import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from tests import privacy
from tests.broker import VERSION, Broker, NoKafka, find_broker
from tests.broker.cluster import Cluster
from tests.registry import NoRegistry, RealRegistry, find_registry

_run = secrets.token_hex(3)
_numbers = itertools.count(1)
_used = pytest.StashKey[str]()
_registry_used = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile("any machine", deadline=None)  # on a busy one, slow is not wrong
    hypothesis.settings.load_profile("any machine")
    # A run that is told to end closes its brokers as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Where no bytecode is to be written, hundreds of processes would compile every module again: they share a folder.
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        bytecode = tempfile.TemporaryDirectory(prefix="vtj-producer-bytecode-")
        config.add_cleanup(bytecode.cleanup)
        os.environ["PYTHONPYCACHEPREFIX"] = bytecode.name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if used := config.stash.get(_used, None):
        terminalreporter.write_line(f"Kafka: {used}")
    if used := config.stash.get(_registry_used, None):
        terminalreporter.write_line(f"Schema registry: {used}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the brokers of a failed test said last stands with its failure."""
    report = yield
    if report.failed and report.when == "call":
        for name, fixture in getattr(item, "funcargs", {}).items():
            if isinstance(fixture, Broker | Cluster):
                report.sections.append((f"{name}'s last words", fixture.log(200)))
    return report


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """The broker of this run; not to be stopped. Fails with the cure where none can be had."""
    try:
        found = find_broker()
    except NoKafka as reason:
        pytest.fail(str(reason), pytrace=False)
    version = "" if found.way == "environment" else f" {VERSION}"
    because = f" ({'; '.join(found.passed_over)})" if found.passed_over else ""
    request.config.stash[_used] = f"{found.way}{version} at {found.bootstrap}{because}"
    with found:
        yield found


@pytest.fixture
def own_broker() -> Iterator[Callable[[], Broker]]:
    """Call it for a broker that this test alone uses; it is closed after the test."""
    with ExitStack() as brokers:

        def make() -> Broker:
            try:
                return brokers.enter_context(find_broker(own=True))
            except NoKafka as reason:
                pytest.fail(str(reason), pytrace=False)

        yield make


@pytest.fixture(scope="session")
def registry(request: pytest.FixtureRequest) -> Iterator[RealRegistry]:
    """The schema registry of this run; not to be stopped. Fails with the cure where none can be had."""
    try:
        found = find_registry()
    except NoRegistry as reason:
        pytest.fail(str(reason), pytrace=False)
    because = f" ({'; '.join(found.passed_over)})" if found.passed_over else ""
    request.config.stash[_registry_used] = f"{found.way} at {found.url}{because}"
    with found:
        yield found


@pytest.fixture
def own_registry() -> Iterator[RealRegistry]:
    """One that this test alone uses, and may stop."""
    try:
        found = find_registry(own=True)
    except NoRegistry as reason:
        pytest.fail(str(reason), pytrace=False)
    with found:
        yield found


@pytest.fixture
def prefix() -> str:
    """A topic prefix that nobody else has; valid as VTJ_TOPICS__PREFIX and as a feed's name."""
    return f"t{_run}-{next(_numbers)}"


@pytest.fixture(autouse=True)
def no_person_in_any_log() -> Iterator[None]:
    with privacy.net() as net:
        yield
    assert not net.caught, "\n".join(net.caught)
