"""Pages, answers and settings that nobody foresaw, far more than CI has time for; what is said of each is CI's too."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.test_mutations import BODIES, PAGES, judge_again, judge_body, judge_page
from tests.unit.test_odd_settings import ENVIRONMENT, FILE, MISSPELT, judge

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("what", "cases", "strategies"),
    [
        (judge_page, 50_000, {"answer": PAGES}),
        (judge_again, 10_000, {"answer": PAGES, "hidden": st.booleans()}),
        (judge_body, 20_000, {"body": BODIES}),
        (judge, 30_000, {"environ": st.builds(lambda one, other: one | other, MISSPELT, ENVIRONMENT), "leaves": FILE}),
    ],
)
def test_nothing_is_lost_and_nothing_crashes(
    what: Callable[..., None],
    cases: int,
    strategies: dict[str, st.SearchStrategy[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seen, more = [0], {"folder": tmp_path_factory.mktemp("settings")} if what is judge else {}

    @settings(deadline=None, max_examples=cases, database=None, suppress_health_check=[*HealthCheck])
    @given(**strategies)
    def one(**given: Any) -> None:
        seen[0] += 1
        what(**given, **more)

    one()
    print(f"\n{what.__name__}: {seen[0]:,} cases")
    assert seen[0] >= cases
