import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.events import spell

TEXT = st.text(st.characters(codec=None))  # with lone surrogates
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=15,
)


@given(JSON)
def test_json_text_says_the_same(value: Any) -> None:
    assert json.dumps(json.loads(spell.raw(value)), sort_keys=True) == json.dumps(value, sort_keys=True)
    assert json.dumps(json.loads(spell.canonical(value)), sort_keys=True) == json.dumps(value, sort_keys=True)
    assert spell.raw(value).encode()  # a lone surrogate is spelled out


@given(JSON)
def test_canonical_text_is_the_same_for_every_order_of_keys(value: Any) -> None:
    def backward(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: backward(value[name]) for name in reversed(value)}
        return [backward(item) for item in value] if isinstance(value, list) else value

    assert spell.canonical(backward(value)) == spell.canonical(value)


@pytest.mark.parametrize("depth", [200, 300, 5000])
def test_depth_is_no_limit(depth: int) -> None:
    deep: Any = {"b": 1, "a": "ä"}
    for _ in range(depth):
        deep = [deep, {"x": deep}] if depth < 10 else [deep]
    assert spell.raw(deep).count("[") == depth
    assert spell.canonical(deep).index(b'"a"') < spell.canonical(deep).index(b'"b"')
