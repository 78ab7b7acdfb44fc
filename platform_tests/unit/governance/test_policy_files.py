"""What is checked before a policy decides anything."""

import hashlib
import shutil
from pathlib import Path

import pytest

from interlock.errors import PolicyError
from interlock.governance.access import Action
from interlock.governance.facts import FACT_NAMES, Fairness, favourable_context, worded_facts
from interlock.governance.policy import PolicyEngine
from interlock.governance.policy_files import SCHEMA_NAME, SHIPPED, read_policy_files
from interlock.governance.principal import Environment, IdentitySource, Role

PERMIT = '@id("all")\n@reason("everybody may")\npermit (principal, action, resource);\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policies that a test may spoil."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def refusal(folder: Path) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        PolicyEngine.load(folder)
    assert caught.value.remedy
    return caught.value


def test_shipped_policies_pass_every_check() -> None:
    files = PolicyEngine.check()
    assert SCHEMA_NAME in files.files
    assert len(files.files) == 8
    assert all(rule.reason for rule in files.rules.values())
    assert all(rule.remedy for rule in files.rules.values() if rule.effect == "forbid")


def test_shipped_schema_has_exactly_the_words_of_the_code() -> None:
    schema = (SHIPPED / SCHEMA_NAME).read_text()
    for words in (Role, Environment, IdentitySource, Fairness):
        start = schema.index(f"entity {words.__name__} enum [")
        listed = schema[start : schema.index("]", start)].split("[")[1]
        assert {word.strip().strip('"') for word in listed.split(",")} == set(words)
    actions = [line for line in schema.splitlines() if line.startswith("action ")]
    assert {w for line in actions for w in line.split('"')[1::2]} == set(Action)


def test_every_fact_that_a_reason_may_quote_has_words() -> None:
    context = favourable_context(Environment.DEV)
    assert set(worded_facts(Role.VIEWER, Environment.DEV, context)) == FACT_NAMES


def test_hash_is_over_names_lengths_and_bytes_of_all_files() -> None:
    sha = hashlib.sha256()
    for path in sorted(SHIPPED.iterdir()):
        body = path.read_bytes()
        sha.update(path.name.encode() + b"\0" + str(len(body)).encode() + b"\0" + body)
    assert PolicyEngine.load().policy_hash == sha.hexdigest()


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.iterdir()))
def test_one_more_blank_in_any_file_changes_the_hash(folder: Path, name: str) -> None:
    with (folder / name).open("a") as file:
        file.write("\n")
    assert PolicyEngine.load(folder).policy_hash != PolicyEngine.load().policy_hash


def test_copy_of_the_shipped_policies_has_their_hash(folder: Path) -> None:
    assert PolicyEngine.load(folder).policy_hash == PolicyEngine.load().policy_hash


def test_syntax_error_names_file_and_line(folder: Path) -> None:
    path = folder / "audit.cedar"
    lines = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if "permit (" in line)
    lines[at] = "permit ((\n"
    path.write_text("".join(lines))
    error = refusal(folder)
    assert f"{path}:{at + 1}: unexpected token" in error.message
    assert "correct the syntax" in error.remedy


def test_statement_without_meaning_is_named_from_its_first_to_its_last_line(
    folder: Path,
) -> None:
    path = folder / "audit.cedar"
    path.write_text("// one\n\n" + PERMIT.replace("permit", "permitt") + PERMIT)
    assert f"{path}:3-5: invalid policy effect: permitt" in refusal(folder).message


def test_policy_that_stops_too_early_names_its_lines(folder: Path) -> None:
    path = folder / "audit.cedar"
    path.write_text(PERMIT.replace(");\n", ""))
    assert f"{path}:1-3: unexpected end of input" in refusal(folder).message


def test_schema_with_a_syntax_error_names_file_and_line(folder: Path) -> None:
    path = folder / SCHEMA_NAME
    path.write_text(path.read_text().replace("entity Product;", "entiy Product;"))
    line = path.read_text().splitlines().index("entiy Product;") + 1
    assert f"{path}:{line}: " in refusal(folder).message


def test_schema_with_an_unknown_type_is_refused(folder: Path) -> None:
    path = folder / SCHEMA_NAME
    path.write_text(path.read_text().replace("signed?: Bool", "signed?: Boolean"))
    error = refusal(folder)
    assert "Boolean" in error.message
    assert str(path) in error.message


def test_attribute_read_without_asking_for_it_is_refused_at_load(folder: Path) -> None:
    path = folder / "promotion.cedar"
    path.write_text(path.read_text().replace("context has approved && ", ""))
    error = refusal(folder)
    line = path.read_text().splitlines().index('@id("approval-required")') + 1
    assert f"{path}:{line}: policy approval-required does not agree" in error.message
    assert "optional attribute `approved`" in error.message


@pytest.mark.parametrize(
    ("found", "wrong", "named"),
    [
        ('Role::"auditor"', 'Role::"auditer"', "auditer"),
        ('Action::"audit:read"', 'Action::"audit:reed"', "audit:reed"),
        ('Role::"auditor"', 'Rolle::"auditor"', "Rolle"),
    ],
)
def test_misspelt_word_is_refused_at_load(folder: Path, found: str, wrong: str, named: str) -> None:
    path = folder / "audit.cedar"
    path.write_text(path.read_text().replace(found, wrong))
    assert named in refusal(folder).message


def test_misspelt_environment_is_refused_at_load(folder: Path) -> None:
    path = folder / "pipeline.cedar"
    path.write_text(path.read_text().replace('Environment::"dev"', 'Environment::"development"'))
    assert "development" in refusal(folder).message


def test_truth_value_compared_with_text_is_refused_at_load(folder: Path) -> None:
    path = folder / "promotion.cedar"
    path.write_text(
        path.read_text().replace(
            "context has signed && context.signed", 'context has signed && context.signed == "yes"'
        )
    )
    assert "signature-required" in refusal(folder).message


@pytest.mark.parametrize("identifier", ["", '@id("")', "@id", '@id("Gates Must Pass")'])
def test_policy_without_a_plain_identifier_is_refused(folder: Path, identifier: str) -> None:
    path = folder / "extra.cedar"
    path.write_text(PERMIT.replace('@id("all")', identifier))
    assert f"{path}: policy 1 has the @id" in refusal(folder).message


def test_second_policy_without_identifier_is_counted(folder: Path) -> None:
    path = folder / "extra.cedar"
    many = "".join(PERMIT.replace('"all"', f'"all-{i}"') for i in range(11))
    path.write_text(many + PERMIT.replace('@id("all")', ""))
    assert "policy 12 has the @id ''" in refusal(folder).message


@pytest.mark.parametrize("first", ["audit", "all"])
def test_identifier_taken_in_any_file_is_refused(folder: Path, first: str) -> None:
    path = folder / "extra.cedar"
    path.write_text(PERMIT + PERMIT.replace('"all"', f'"{first}"'))
    error = refusal(folder)
    assert f"{path}:4: @id '{first}' is taken" in error.message


@pytest.mark.parametrize("reason", ["", '@reason("")', '@reason("  ")'])
def test_policy_without_reason_is_refused(folder: Path, reason: str) -> None:
    (folder / "extra.cedar").write_text(PERMIT.replace('@reason("everybody may")', reason))
    assert "policy all has no @reason" in refusal(folder).message


def test_forbid_without_remedy_is_refused(folder: Path) -> None:
    (folder / "extra.cedar").write_text(PERMIT.replace("permit", "forbid"))
    assert "policy all has no @remedy" in refusal(folder).message


@pytest.mark.parametrize(
    "quoted", ["{salary}", "{role.value}", "{role!r}", "{role:>9}", "{role", "{}", "{role[0]}"]
)
def test_reason_that_quotes_an_unknown_fact_is_refused(folder: Path, quoted: str) -> None:
    (folder / "extra.cedar").write_text(PERMIT.replace("everybody", quoted))
    error = refusal(folder)
    assert "@reason of policy all" in error.message
    assert "identity_source" in error.remedy


def test_template_is_refused(folder: Path) -> None:
    path = folder / "extra.cedar"
    path.write_text(PERMIT.replace("(principal,", "(principal == ?principal,"))
    assert "has the slot ?principal" in refusal(folder).message


def test_identifier_written_apart_is_still_found(folder: Path) -> None:
    path = folder / "extra.cedar"
    path.write_text(PERMIT.replace('@id("all")', '@id // here\n("all")') + PERMIT)
    assert f"{path}:5: @id 'all' is taken" in refusal(folder).message


def test_line_is_left_out_when_the_identifier_is_not_found(folder: Path) -> None:
    path = folder / "extra.cedar"
    odd = PERMIT.replace('@id("all")', '@id // here\n("all")')
    path.write_text(odd.replace("resource)", 'resource == Nothing::"a")'))
    assert f"{path}: policy all does not agree" in refusal(folder).message


def test_several_disagreements_are_counted(folder: Path) -> None:
    (folder / "extra.cedar").write_text(
        PERMIT.replace("resource)", "resource) when { context.salary > 1 && context.age > 1 }")
    )
    assert "more)" in refusal(folder).message


def test_file_that_is_not_utf8_names_its_line(folder: Path) -> None:
    path = folder / "extra.cedar"
    path.write_bytes(b"// one\n// \xff\n")
    assert f"{path}:2: is not UTF-8" in refusal(folder).message


def test_missing_schema_is_refused(folder: Path) -> None:
    (folder / SCHEMA_NAME).unlink()
    assert f"{folder / SCHEMA_NAME}: missing" in refusal(folder).message


def test_schema_alone_is_refused(folder: Path) -> None:
    for path in folder.glob("*.cedar"):
        path.unlink()
    assert "holds no policies" in refusal(folder).message


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        read_policy_files(tmp_path / "none")


def test_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "extra.cedar").mkdir()
    assert f"{folder / 'extra.cedar'}: cannot be read" in refusal(folder).message


def test_other_files_are_no_policies(folder: Path) -> None:
    (folder / "notes.txt").write_text("permit everything")
    assert PolicyEngine.load(folder).policy_hash == PolicyEngine.load().policy_hash
