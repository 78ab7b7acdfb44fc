"""``interlock user`` on the embedded services, in one home: from the first administrator on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from command_line import Called, call, one_line

from interlock.cli.app import DENIED, FAILURE, OK, USAGE

PASSWORD = "correct horse battery staple"


@pytest.mark.slow
def test_first_administrator_is_added_on_the_operators_word_and_no_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "home"))
    for name in ("ENVIRONMENT", "RUN_ROLE", "RUN_OWNER", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)

    def user(*words: str, password: str = PASSWORD) -> Called:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        return call(capsys, "user", *words, "--json")

    def add(name: str, role: str, *words: str) -> Called:
        return user("add", name, "--role", role, "--password-stdin", *words)

    with monkeypatch.context() as asking:
        asking.setattr("click.termui.hidden_prompt_func", lambda _: pytest.fail("a password"))
        refused = call(capsys, "user", "add", "ada", "--role", "ml_engineer", "--json")
    assert refused.code == DENIED
    assert "add an administrator first" in refused.document["error"]["remedy"]
    assert "user add root@example.com --role platform_admin" in one_line(refused.err)
    asked: list[str] = []

    def typed(question: str) -> str:
        asked.append(question)
        return PASSWORD

    monkeypatch.setattr("click.termui.hidden_prompt_func", typed)
    first = call(capsys, "user", "add", "root", "--role", "platform_admin", "--json")
    assert (first.code, asked[0]) == (OK, "Password of root, at least 15 characters: ")
    assert first.document["added"]["role"] == "platform_admin"
    second = add("eve", "platform_admin")
    assert second.code == DENIED
    assert second.document["error"]["remedy"].startswith("ask somebody")

    monkeypatch.setenv("RUN_ROLE", "platform_admin")
    assert add("ada", "ml_engineer", "--team", "risk").code == OK
    assert add("bad", "viewer", "--team", "two words").code == USAGE
    assert (
        user("add", "short", "--role", "viewer", "--password-stdin", password="x").code == FAILURE
    )
    robot = user("add", "robot", "--role", "viewer", "--service")
    assert robot.document["token"].startswith("interlock.")
    assert user("change", "ada", "--role", "approver").document["changed"]["teams"] == []
    assert user("renew", "ada", "--password-stdin").code == OK
    assert user("renew", "robot", "--service").document["token"] != robot.document["token"]
    assert user("disable", "ada").document["disabled"]["disabled"]
    listed = {each["name"]: each["disabled"] for each in user("list").document["accounts"]}
    assert listed == {"ada": True, "robot": False, "root": False}
    assert not user("enable", "ada").document["enabled"]["disabled"]
    assert "ada" in call(capsys, "user", "list").out
