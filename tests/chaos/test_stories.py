"""Any sequence of stories, of any persons: Hypothesis looks for one after which the topics and upstream disagree.

STORIES_EXAMPLES: how many examples the long test draws; each has a life for PERSONS persons.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from producer.sandbox import Sandbox
from producer.sandbox.dice import Dice
from producer.sandbox.log import Log
from producer.sandbox.register import Register
from producer.sandbox.stories import STORIES
from producer.sandbox.stories.telling import Teller
from producer.sandbox.tables import PROTECTED
from tests.broker import Broker
from tests.integration.deployment import Deployment
from tests.oracle.schemas import Schemas
from tests.oracle.state import judge_state
from tests.oracle.upstream import kebab

pytestmark = pytest.mark.kafka
EXAMPLES = int(os.environ.get("STORIES_EXAMPLES", "20"))
PERSONS = 60

# A story, how many times it goes on before the next one of the person begins, and what it draws.
STORY = st.tuples(st.sampled_from([teller for _, teller in STORIES]), st.integers(0, 2), st.integers(0, 2**16))
LIVES = st.lists(st.lists(STORY, min_size=1, max_size=5), min_size=PERSONS, max_size=PERSONS)

# Nothing is shrunk: topics and register go on from one example to the next, and no example can be told again.
DRAWING = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[*HealthCheck],
    database=None,
)


def test_stories(broker: Broker, prefix: str, tmp_path: Path) -> None:
    told = lived(broker, prefix, tmp_path, settings(DRAWING, max_examples=3, derandomize=True))
    assert told == 3 * PERSONS


@pytest.mark.long
def test_stories_at_length(broker: Broker, prefix: str, tmp_path: Path) -> None:
    told = lived(broker, prefix, tmp_path, settings(DRAWING, max_examples=EXAMPLES, print_blob=True))
    print(f"\n{told} sequences of stories: state is what upstream says, identities and changes are sound")


def lived(broker: Broker, prefix: str, folder: Path, drawing: settings) -> int:
    """How many sequences were told. After each example the state is judged, at the end everything."""
    with asyncio.Runner() as runner:
        town = Town(broker, prefix, folder)
        runner.run(town.open())
        try:

            @drawing
            @given(LIVES)
            def live(lives: Sequence[Sequence[tuple[Teller, int, int]]]) -> None:
                runner.run(town.live(lives))

            live()
            verdict = runner.run(town.deployment.audit())
            assert verdict.sound, verdict
        finally:
            runner.run(town.close())
    return town.told


class Town:
    """A sandbox, and the service that follows it: run to its end after each example."""

    def __init__(self, broker: Broker, prefix: str, folder: Path) -> None:
        self._sandbox = Sandbox(persons=400, page_size=200, censored=True)
        self._file = folder / "persons"
        self._broker, self._prefix = broker, prefix
        self._day = date(2026, 3, 1)
        self.told = 0

    async def open(self) -> None:
        await self._sandbox.__aenter__()
        source = self._sandbox._source
        assert isinstance(source, Log)
        self._register: Register = source._register
        self.deployment = Deployment(self._broker.bootstrap, self._prefix, self._sandbox.url).but(
            VTJ_STATE__ENABLED="true", VTJ_UPSTREAM__START=None
        )
        await self.deployment.apply_topics()
        self._file.write_text("\n".join(self._sandbox.codes()))
        loaded = await self.deployment.run("load", str(self._file))
        assert loaded.code == 0, loaded.err

    async def close(self) -> None:
        await self._sandbox.__aexit__(None, None, None)

    async def live(self, lives: Sequence[Sequence[tuple[Teller, int, int]]]) -> None:
        protected = {person.index for person in self._register if person.protected}
        before = self.deployment.ends()
        codes = self._sandbox.codes()
        of = [codes[(self.told + at) % len(codes)] for at in range(len(lives))]
        for step in range(max(map(len, lives))):
            for code, life in zip(of, lives, strict=True):
                if step < len(life):
                    self._day += timedelta(days=1)
                    self._sandbox.append(self._story(code, *life[step]))
        self.told += len(lives)
        ran = await self.deployment.run("run", "--once", patience=90)
        assert ran.code == 0, ran.err

        stored = await self.deployment.stored()
        faults = await asyncio.to_thread(judge_state, stored, self._sandbox.url, self._sandbox.codes())
        assert faults == [], faults[:5]
        hidden = {f"state.{kebab(kind)}" for kind in PROTECTED}
        # No story ends an order that another has begun: these persons were under one all the time.
        still = {
            code.encode()
            for person in self._register
            if person.protected and person.index in protected
            for code in (person.code, *person.former_codes)
        }
        for one in stored:
            new = one.offset >= before[self.deployment.topic(one.topic), one.partition]
            if new and one.topic in hidden and one.key in still and one.value is not None:
                event = Schemas.load().decode(one.topic.replace("state.", "change.", 1), one.value)
                assert event["data"] is None, f"{one.topic} tells what an order withholds"

    def _story(self, code: str, teller: Teller, goes_on: int, seed: int) -> Iterator[dict[str, Any]]:
        """The records of a story as far as it goes. Two persons who have become one go on as that one."""
        (person,) = self._register.find([code])
        if person.busy:
            return
        story = teller(person, self._day, Dice(seed), self._register)
        told = next(story, None)
        while told is not None:
            yield {
                "henkilotunnus": told.code or told.person.code,
                "tietoryhmat": self._register.censor(told.person, told.groups),
                "muutospv": f"{self._day}T04:38:04.394Z",
            }
            if not told.more:
                if not goes_on:
                    break
                goes_on -= 1
            self._day += timedelta(days=1)
            try:
                told = story.send(self._day)
            except StopIteration:
                told = None
