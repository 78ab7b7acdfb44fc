"""What environment variables may say, and what they mean."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock import settings as module
from interlock.errors import ConfigurationError
from interlock.governance.principal import Environment, IdentitySource, Role
from interlock.settings import REPOSITORY, Settings, principal, scheduler_principal
from interlock.variables import VARIABLES

EXAMPLE = re.compile(r"^#(?P<name>[A-Z0-9_]+)=(?P<default>.*)$")


def read(**environ: str) -> Settings:
    return Settings.from_environment(environ)


def test_defaults_are_those_of_a_developer_with_nothing_configured() -> None:
    settings = read()
    assert settings.environment is None
    assert settings.identity_source is IdentitySource.ENV
    assert not settings.identity_chosen
    assert settings.run_role is Role.ML_ENGINEER
    assert settings.audit_retention == timedelta(days=1)
    assert settings.audit_log_prefix == "governance/audit/"
    assert settings.metric_floors == {}
    assert settings.embedded
    assert settings.home == REPOSITORY / ".interlock"
    assert settings.spool_directory.parent == settings.home / "spool"


def test_every_variable_reaches_its_field() -> None:
    settings = read(
        ENVIRONMENT="prod",
        IDENTITY_SOURCE="env",
        RUN_OWNER="ada",
        RUN_ROLE="approver",
        RUN_TEAMS="risk, audit_2",
        APPROVAL_KEY="awskms:///alias/approval",
        APPROVAL_PUBLIC_KEYS="/srv/keys.pem",
        IDENTITY_KEY="/srv/identity.pem",
        IDENTITY_PUBLIC_KEYS="/srv/identities.pem",
        IDENTITY_MAPPING="/srv/identity.yaml",
        IDENTITY_TOKEN="interlock.61.62",
        ALLOWED_STAGING_ROLES="ml_engineer",
        ALLOWED_PROD_ROLES="approver, auditor",
        DATA_BUCKET="data-1",
        ARTIFACT_BUCKET="artifacts-1",
        AUDIT_BUCKET="audit-1",
        AUDIT_LOG_PREFIX="trail",
        AUDIT_RETENTION_DAYS="2555",
        BASELINE_DATA_HASH="a" * 64,
        RUN_SIGNING_KEY="k" * 64,
        MLFLOW_TRACKING_URI="https://mlflow.example",
        MIN_ACCURACY="0.7",
        MIN_F1_SCORE="0.5",
        DRIFT_THRESHOLD="0.25",
        INTERLOCK_HOME="/srv/interlock",
        AWS_ENDPOINT_URL_S3="https://s3.example/",
        AWS_ACCESS_KEY_ID="AK",
        AWS_SECRET_ACCESS_KEY="SK",
        AWS_SESSION_TOKEN="ST",
        AWS_DEFAULT_REGION="eu-central-1",
    )
    assert settings == Settings(
        environment=Environment.PROD,
        identity_source=IdentitySource.ENV,
        identity_chosen=True,
        run_owner="ada",
        run_teams=frozenset({"risk", "audit_2"}),
        approval_key="awskms:///alias/approval",
        approval_public_keys=Path("/srv/keys.pem"),
        identity_key="/srv/identity.pem",
        identity_public_keys=Path("/srv/identities.pem"),
        identity_mapping=Path("/srv/identity.yaml"),
        identity_token="interlock.61.62",
        run_role=Role.APPROVER,
        allowed_staging_roles=frozenset({Role.ML_ENGINEER}),
        allowed_prod_roles=frozenset({Role.APPROVER, Role.AUDITOR}),
        data_bucket="data-1",
        artifact_bucket="artifacts-1",
        audit_bucket="audit-1",
        audit_log_prefix="trail/",
        audit_retention_days=2555,
        baseline_data_hash="a" * 64,
        run_signing_key="k" * 64,
        mlflow_tracking_uri="https://mlflow.example",
        min_accuracy=0.7,
        min_f1_score=0.5,
        drift_threshold=0.25,
        home=Path("/srv/interlock"),
        s3_endpoint_url="https://s3.example",
        aws_access_key_id="AK",
        aws_secret_access_key="SK",
        aws_session_token="ST",
        aws_region="eu-central-1",
    )
    assert not settings.embedded
    assert settings.metric_floors == {"accuracy": 0.7, "f1": 0.5}


@pytest.mark.parametrize("line_break", ["\n", "\\n"], ids=["line breaks", "written out"])
def test_public_keys_are_a_file_or_their_text(line_break: str) -> None:
    lines = ["Account: grace", "-----BEGIN PUBLIC KEY-----", "AA", "-----END PUBLIC KEY-----"]
    found = read(APPROVAL_PUBLIC_KEYS=line_break.join(lines), IDENTITY_PUBLIC_KEYS="/srv/keys.pem")
    assert found.approval_public_keys == "\n".join(lines)
    assert found.identity_public_keys == Path("/srv/keys.pem")


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("ENVIRONMENT", "production", "dev, staging, prod"),
        ("ENVIRONMENT", "Dev", "dev, staging, prod"),
        ("IDENTITY_SOURCE", "ldap", "env"),
        ("IDENTITY_SOURCE", "schedule", "one of: env, local, oidc-proxy"),
        ("RUN_ROLE", "root", "viewer, data_scientist, ml_engineer"),
        ("RUN_ROLE", "scheduler", "runs that no person started"),
        ("RUN_OWNER", "ada\nlovelace", "one line"),
        ("ALLOWED_STAGING_ROLES", "ml_engineer,root", "viewer, data_scientist"),
        ("ALLOWED_PROD_ROLES", "ml_engineer,,approver", "viewer, data_scientist"),
        ("ALLOWED_PROD_ROLES", "", "viewer, data_scientist"),
        ("APPROVAL_PUBLIC_KEYS", "awskms:///alias/approval", "the public keys themselves"),
        ("IDENTITY_PUBLIC_KEYS", "/srv/keys\n.pem", "one line"),
        ("DATA_BUCKET", "Data", "3 to 63"),
        ("ARTIFACT_BUCKET", "ab", "3 to 63"),
        ("AUDIT_BUCKET", "-audit", "3 to 63"),
        ("AUDIT_LOG_PREFIX", "/audit", "without a slash in front"),
        ("AUDIT_LOG_PREFIX", "audit/../other", "a prefix such as"),
        ("AUDIT_RETENTION_DAYS", "-1", "1 to 36500"),
        ("AUDIT_RETENTION_DAYS", "0", "1 to 36500"),
        ("AUDIT_RETENTION_DAYS", "1.5", "1 to 36500"),
        ("AUDIT_RETENTION_DAYS", "36501", "1 to 36500"),
        ("BASELINE_DATA_HASH", "abc", "64 hexadecimal digits"),
        ("MIN_ACCURACY", "1.01", "0 to 1"),
        ("MIN_ACCURACY", "nan", "0 to 1"),
        ("MIN_F1_SCORE", "-0.1", "0 to 1"),
        ("MIN_F1_SCORE", "high", "0 to 1"),
        ("DRIFT_THRESHOLD", "0", "above 0"),
        ("DRIFT_THRESHOLD", "inf", "above 0"),
        ("AWS_ENDPOINT_URL_S3", "localhost:9000", "http:// or https://"),
    ],
)
def test_wrong_value_names_variable_value_and_choices(name: str, value: str, choices: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read(**{name: value})
    assert name in str(refusal.value)
    assert choices in str(refusal.value)
    if value:
        assert repr(value) in str(refusal.value)


def test_secret_is_shown_neither_in_an_error_nor_in_the_repr() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        read(AWS_SECRET_ACCESS_KEY="geheim\x00nis")
    assert "geheim" not in str(refusal.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(refusal.value)
    secrets = {name: f"geheim-{name}" for name, known in VARIABLES.items() if known.secret}
    settings = read(**secrets, MLFLOW_TRACKING_URI="https://u:geheim@mlflow.example")
    assert settings.aws_secret_access_key == "geheim-AWS_SECRET_ACCESS_KEY"
    assert "geheim" not in repr(settings)


def test_empty_counts_as_unset_and_unknown_variables_are_ignored() -> None:
    assert read(ENVIRONMENT="", RUN_ROLE=" ", PATH="/bin") == read()
    assert not read(IDENTITY_SOURCE="").identity_chosen


def test_buckets_must_differ() -> None:
    with pytest.raises(ConfigurationError, match="expected three different names"):
        read(DATA_BUCKET="one", AUDIT_BUCKET="one")


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_retention_must_be_chosen_outside_dev(environment: str) -> None:
    with pytest.raises(ConfigurationError, match="AUDIT_RETENTION_DAYS is unset in"):
        read(ENVIRONMENT=environment)
    assert read(ENVIRONMENT=environment, AUDIT_RETENTION_DAYS="7").audit_retention_days == 7


def test_s3_without_mlflow_is_a_contradiction() -> None:
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI is not"):
        read(AWS_ENDPOINT_URL_S3="http://localhost:9000")
    assert not read(MLFLOW_TRACKING_URI="http://localhost:5000").embedded


def test_role_lists_narrow_their_own_environment_alone() -> None:
    settings = read(ALLOWED_STAGING_ROLES="viewer")
    assert settings.allowed_roles(Environment.STAGING) == frozenset({Role.VIEWER})
    assert settings.allowed_roles(Environment.PROD) is None
    assert settings.allowed_roles(Environment.DEV) is None


def test_principal_in_dev_is_the_operating_systems_user(monkeypatch: pytest.MonkeyPatch) -> None:
    found = principal(read(ENVIRONMENT="dev"))
    assert found.name
    assert (found.role, found.verified_by) == (Role.ML_ENGINEER, "env")
    monkeypatch.setattr("os.getuid", lambda: 999_999_999)
    assert principal(read()).name == "uid-999999999"


@pytest.mark.parametrize("missing", ["RUN_OWNER", "RUN_ROLE"])
def test_principal_outside_dev_must_be_given(missing: str) -> None:
    given_ = {"RUN_OWNER": "ada", "RUN_ROLE": "approver", "AUDIT_RETENTION_DAYS": "1"}
    given_.pop(missing)
    with pytest.raises(ConfigurationError, match=f"{missing} is unset in prod"):
        principal(read(ENVIRONMENT="prod", **given_))


def test_schedule_acts_as_its_service_account() -> None:
    assert scheduler_principal().role is Role.SCHEDULER
    assert scheduler_principal().verified_by == "schedule"


def test_example_file_and_settings_name_the_same_variables_and_defaults() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    matches = [match for line in lines if (match := EXAMPLE.match(line)) is not None]
    listed = {match["name"]: match["default"] for match in matches}
    assert listed == {name: known.default for name, known in VARIABLES.items()}
    assert len(matches) == len(listed), "a variable is listed twice"
    uncommented = [line for line in lines if line and not line.startswith("#")]
    assert uncommented == [], "copying the file must change nothing"


def test_every_variable_in_the_example_file_is_explained() -> None:
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if EXAMPLE.match(line):
            assert before.startswith("# "), line


def test_applied_variables_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_OWNER", "before")
    monkeypatch.delenv("RUN_ROLE", raising=False)
    with module.applied_to_process({"RUN_OWNER": "during", "RUN_ROLE": "viewer"}) as settings:
        assert (settings.run_owner, settings.run_role) == ("during", Role.VIEWER)
    assert module.process_environment()["RUN_OWNER"] == "before"
    assert "RUN_ROLE" not in module.process_environment()


def test_no_child_is_told_where_the_approval_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPROVAL_KEY", "/home/grace/key.pem")
    assert "APPROVAL_KEY" not in module.child_environment({})


@pytest.mark.parametrize("value", ["team:risk", "a b", "risk;audit"])
def test_team_that_no_product_could_name_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="RUN_TEAMS is"):
        read(RUN_TEAMS=value)


def test_child_environment_adds_to_this_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_OWNER", "before")
    found = module.child_environment({"RUN_ROLE": "viewer"})
    assert (found["RUN_OWNER"], found["RUN_ROLE"]) == ("before", "viewer")


def test_loopback_stays_off_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "example.org,localhost")
    expected = "example.org,localhost,127.0.0.1"
    assert module.no_proxy_on_loopback() == {"NO_PROXY": expected, "no_proxy": expected}


def test_home_outside_a_repository_is_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPOSITORY", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert read().home == tmp_path / ".interlock"
    assert read(INTERLOCK_HOME="other").home == tmp_path / "other"


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=20)))
def test_any_text_is_settings_or_a_configuration_error(environ: dict[str, str]) -> None:
    try:
        settings = Settings.from_environment(environ)
    except ConfigurationError as error:
        assert any(name in str(error) for name in VARIABLES)  # noqa: PT017 - either is right
    else:
        assert settings.audit_retention_days >= 1
        assert settings.drift_threshold > 0


REMOTE = {"AWS_ENDPOINT_URL_S3": "https://s3.example", "MLFLOW_TRACKING_URI": "https://ml.example"}


def test_embedded_store_has_one_spool_whatever_its_port() -> None:
    running = REMOTE | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:40123"}
    again = REMOTE | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:40999"}
    assert read().spool_directory == read(**running).spool_directory
    assert read(**again).spool_directory == read(**running).spool_directory


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"MLFLOW_TRACKING_URI": "https://ml.example"},
        REMOTE | {"AWS_ENDPOINT_URL_S3": "https://s3.other.example"},
        REMOTE | {"AUDIT_BUCKET": "other-audit"},
        REMOTE | {"AUDIT_LOG_PREFIX": "elsewhere/"},
    ],
    ids=["embedded", "AWS", "endpoint", "bucket", "prefix"],
)
def test_records_of_one_trail_do_not_wait_where_another_would_write_them(
    other: dict[str, str],
) -> None:
    assert read(**REMOTE).spool_directory != read(**other).spool_directory


def test_spool_does_not_depend_on_credentials_in_the_address() -> None:
    with_password = REMOTE | {"AWS_ENDPOINT_URL_S3": "https://ada:secret@s3.example"}
    assert read(**with_password).spool_directory == read(**REMOTE).spool_directory


def test_mapping_is_a_file_or_json() -> None:
    assert read(IDENTITY_MAPPING='{"roles": []}').identity_mapping == '{"roles": []}'
    assert read(IDENTITY_MAPPING="identity.yaml").identity_mapping == Path.cwd() / "identity.yaml"
