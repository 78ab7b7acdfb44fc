"""Tokens of scheduled runs: forged, copied, expired and inherited ones prove nothing."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulators import FakeClock, MemoryObjectStore

from interlock.adapters.tokens import LIFETIME, MIN_KEY_BYTES, RunTokens
from interlock.errors import ConfigurationError, StoreUnavailable

KEY = b"k" * MIN_KEY_BYTES
BUCKET = "data"


@pytest.fixture
def store(clock: FakeClock) -> MemoryObjectStore:
    store = MemoryObjectStore(clock=clock)
    store.create_bucket(BUCKET)
    return store


@pytest.fixture
def tokens(clock: FakeClock) -> RunTokens:
    return RunTokens(KEY, clock=clock)


def issue(tokens: RunTokens, run_key: str = "tick-1") -> str:
    return tokens.issue(schedule="nightly", products=["tiny"], run_key=run_key)


def claims(store: MemoryObjectStore) -> dict[str, bytes]:
    return {info.key: store.get(BUCKET, info.key) for info in store.list(BUCKET)}


def proves(
    tokens: RunTokens,
    store: MemoryObjectStore,
    token: str,
    *,
    product: str = "tiny",
    run_id: str = "run-1",
) -> bool:
    return tokens.proves(token, product=product, run_id=run_id, store=store, bucket=BUCKET)


def test_first_run_that_shows_a_token_is_proven_and_stays_so(
    tokens: RunTokens, store: MemoryObjectStore
) -> None:
    token = issue(tokens)
    assert proves(tokens, store, token)
    assert proves(tokens, store, token), "each of its steps asks again"


def test_copied_token_proves_nothing_for_another_run(
    tokens: RunTokens, store: MemoryObjectStore
) -> None:
    token = issue(tokens)
    assert proves(tokens, store, token)
    before = claims(store)
    assert not proves(tokens, store, token, run_id="run-2")
    assert claims(store) == before


def test_token_of_one_tick_issued_again_is_the_same_claim(
    tokens: RunTokens, store: MemoryObjectStore, clock: FakeClock
) -> None:
    assert proves(tokens, store, issue(tokens))
    clock.advance(minutes=1)
    assert not proves(tokens, store, issue(tokens), run_id="run-2")
    assert proves(tokens, store, issue(tokens, "tick-2"), run_id="run-2")


def test_token_is_good_for_its_products_alone(tokens: RunTokens, store: MemoryObjectStore) -> None:
    assert not proves(tokens, store, issue(tokens), product="other")
    assert claims(store) == {}


def test_expired_token_proves_nothing(
    tokens: RunTokens, store: MemoryObjectStore, clock: FakeClock
) -> None:
    token = issue(tokens)
    clock.now += LIFETIME - timedelta(seconds=1)
    assert proves(tokens, store, token)
    clock.advance(seconds=1)
    assert not proves(tokens, store, token)


def test_token_signed_with_another_key_proves_nothing(
    tokens: RunTokens, store: MemoryObjectStore, clock: FakeClock
) -> None:
    forged = issue(RunTokens(b"x" * MIN_KEY_BYTES, clock=clock))
    assert not proves(tokens, store, forged)
    assert claims(store) == {}


def contents(clock: FakeClock, **changes: object) -> dict[str, object]:
    content: dict[str, object] = {
        "iss": "interlock/schedule",
        "aud": "interlock/run",
        "sub": "nightly",
        "jti": "1",
        "products": ["tiny"],
        "iat": clock().timestamp(),
        "exp": (clock() + LIFETIME).timestamp(),
    } | changes
    return {name: value for name, value in content.items() if value is not None}


def test_the_forger_s_recipe_is_right(
    tokens: RunTokens, store: MemoryObjectStore, clock: FakeClock
) -> None:
    """Without this the refusals below could have any reason."""
    assert proves(tokens, store, jwt.encode(contents(clock), KEY, algorithm="HS256"))


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in ("iss", "aud", "sub", "jti", "products", "iat", "exp")),
        {"iss": "somebody"},
        {"aud": "interlock/console"},
        {"products": "tiny"},
        {"products": {"tiny": True}},
        {"exp": "never"},
    ],
    ids=str,
)
def test_signed_token_with_wrong_content_proves_nothing(
    tokens: RunTokens, store: MemoryObjectStore, clock: FakeClock, changes: dict[str, object]
) -> None:
    token = jwt.encode(contents(clock, **changes), KEY, algorithm="HS256")
    assert not proves(tokens, store, token)
    assert claims(store) == {}


def test_unsigned_and_otherwise_signed_tokens_prove_nothing(
    tokens: RunTokens, store: MemoryObjectStore, clock: FakeClock
) -> None:
    content = contents(clock)
    assert not proves(tokens, store, jwt.encode(content, "", algorithm="none"))
    assert not proves(tokens, store, jwt.encode(content, KEY * 2, algorithm="HS512"))
    assert claims(store) == {}


def test_token_whose_products_were_edited_proves_nothing(
    tokens: RunTokens, store: MemoryObjectStore
) -> None:
    head, body, signature = issue(tokens).split(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=="))
    content["products"] = ["tiny", "other"]
    edited = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    assert not proves(tokens, store, f"{head}.{edited}.{signature}", product="other")
    assert claims(store) == {}


@given(text=st.text(max_size=200))
def test_no_text_is_a_proof_and_none_breaks_the_check(text: str) -> None:
    clock = FakeClock(datetime(2040, 1, 1, tzinfo=UTC))
    store = MemoryObjectStore(clock=clock)
    store.create_bucket(BUCKET)
    assert not proves(RunTokens(KEY, clock=clock), store, text)
    assert claims(store) == {}


def test_claim_that_cannot_be_made_is_an_error_and_no_proof(
    tokens: RunTokens, store: MemoryObjectStore
) -> None:
    store.go_away()
    with pytest.raises(StoreUnavailable):
        proves(tokens, store, issue(tokens))


def test_claim_whose_answer_was_lost_still_belongs_to_the_run(
    tokens: RunTokens, store: MemoryObjectStore
) -> None:
    token = issue(tokens)
    lost = StoreUnavailable("no answer", remedy="ask again")
    store.fail_next("put_new", lost, after_effect=True)
    with pytest.raises(StoreUnavailable):
        proves(tokens, store, token)
    assert proves(tokens, store, token)


@pytest.mark.parametrize("key", [b"", b"short", b"k" * (MIN_KEY_BYTES - 1)])
def test_short_key_is_refused_with_its_length(key: bytes, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match=f"RUN_SIGNING_KEY has {len(key)} bytes"):
        RunTokens(key, clock=clock)
