"""Mutations that a GraphQL document hides, and documents that are too much."""

from __future__ import annotations

import contextlib

import pytest
from graphql import OperationType
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import IdentityError
from interlock.webserver.documents import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_MUTATIONS,
    MAX_TOKENS,
    read_document,
)


def nested(levels: int) -> str:
    return "{" + "a {" * (levels - 1) + "a" + "}" * levels


@pytest.mark.parametrize(
    ("text", "mutations"),
    [
        ("{ version }", ()),
        ("query { runs { id } }", ()),
        ("subscription { logs { id } }", ()),
        ("mutation { wipeAssets { __typename } }", ("wipeAssets",)),
        ("mutation { version: wipeAssets { __typename } }", ("wipeAssets",)),
        ("mutation { ...hidden } fragment hidden on Mutation { deleteRun }", ("deleteRun",)),
        (
            "mutation { ...a } fragment a on M { ...b } fragment b on M { deleteRun }",
            ("deleteRun",),
        ),
        ("mutation { ... on Mutation { ... { deleteRun } } }", ("deleteRun",)),
        ("query Shown { version } mutation Hidden { deleteRun }", ("deleteRun",)),
        (
            "mutation { a: deleteRun b: deleteRun startSensor }",
            ("deleteRun",) * 2 + ("startSensor",),
        ),
        ("mutation @skip(if: true) { deleteRun @include(if: false) }", ("deleteRun",)),
    ],
)
def test_mutations_are_found_under_their_real_names(text: str, mutations: tuple[str, ...]) -> None:
    asked = read_document(text)
    assert asked.mutations == mutations
    assert asked.changes_something is bool(mutations)


def test_kinds_and_depth_are_told() -> None:
    asked = read_document("query Q { a { ...f } } fragment f on A { b { c } } subscription S { d }")
    assert asked.operations == {OperationType.QUERY, OperationType.SUBSCRIPTION}
    assert asked.depth == 3
    assert read_document("fragment f on A { b }").depth == 0


def test_deepest_document_that_is_let_through() -> None:
    assert read_document(nested(MAX_DEPTH)).depth == MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (nested(MAX_DEPTH + 1), "fields deep"),
        (nested(6_000), "cannot be read|too deeply"),
        ("{" * 50_000, "cannot be read"),
        ("{ a " + "b " * MAX_TOKENS + "}", "cannot be read"),
        (" " * (MAX_CHARACTERS + 1), "characters"),
        ("", "cannot be read"),
        ("nothing", "cannot be read"),
        ('[{"query": "{ version }"}]', "cannot be read"),
        ("{ ...loop } fragment loop on A { a { ...loop } }", "contains itself"),
        ("{ ...a } fragment a on A { ...b } fragment b on A { ...a }", "contains itself"),
        ("mutation { ...none }", "no fragment none"),
        (
            "mutation {" + " ".join(f"m{n}: deleteRun" for n in range(MAX_MUTATIONS + 1)) + "}",
            "more",
        ),
    ],
)
def test_what_is_too_much_or_no_graphql_is_refused(text: str, why: str) -> None:
    with pytest.raises(IdentityError, match=why):
        read_document(text)


def test_fragments_that_multiply_are_measured_once() -> None:
    layers = [
        f"fragment f{n} on A {{ a {{ ...f{n + 1} }} b {{ ...f{n + 1} }} }}" for n in range(30)
    ]
    asked = read_document("{ ...f0 } " + " ".join(layers) + " fragment f30 on A { c }")
    assert asked.depth == 31
    spread = [f"fragment f{n} on M {{ ...f{n + 1} ...f{n + 1} }}" for n in range(30)]
    with pytest.raises(IdentityError, match="more than"):
        read_document("mutation { ...f0 } " + " ".join(spread) + " fragment f30 on M { deleteRun }")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(IdentityError):
        assert read_document(text).depth >= 0
