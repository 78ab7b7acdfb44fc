"""Makes the service accounts of the stack itself, and leaves each its token; then ends.

There is one: ``exporter``, a viewer, with which the exporter reads Dagster's web server. Its token
lies in a volume that only the exporter mounts. Runs once each time the stack starts, on the word of
whoever operates it, which is on record with the account; a token that is still right stays. People
are added by `interlock user add`. ADR-0012.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from interlock.actions.administer import add_account, renew_secret
from interlock.actions.authority import Authority, RunContext
from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory, Person
from interlock.assembly import (
    open_authority,
    open_credentials,
    open_directory,
    open_store,
    process_context,
    utc_now,
)
from interlock.errors import InterlockError, SignInRefused
from interlock.governance.principal import IdentitySource, Role
from interlock.settings import load_settings, operator_principal

ACCOUNTS: Final = {"exporter": Role.VIEWER}
TOKENS: Final = Path("/tokens")


def provide(
    authority: Authority,
    run: RunContext,
    *,
    directory: Directory,
    credentials: Credentials,
    name: str,
    role: Role,
    file: Path,
) -> str:
    """Sees that an account is there and its token in its file.

    Args:
        authority: Acts as the operator.
        run: Where this happens.
        directory: Who there is.
        credentials: Where tokens are checked.
        name: Of the account.
        role: That it gets when it is new; an administrator may have changed it since.
        file: Holds its token.

    Returns:
        A line for the log.

    Raises:
        InterlockError: It cannot be made or recorded.
    """
    found = directory.find(name)
    if found is None:
        person = Person(
            name=name,
            role=role,
            teams=frozenset(),
            source=IdentitySource.LOCAL,
            sessions_from=utc_now(),
            service=True,
        )
        token = add_account(
            authority,
            run,
            directory=directory,
            credentials=credentials,
            person=person,
            password=None,
        )
        _write(file, str(token))
        return f"{name}: added as {role}"
    if found.disabled:
        return f"{name}: disabled by an administrator, and left so"
    if _is_right(credentials, file, found):
        return f"{name}: its token is right"
    token = renew_secret(
        authority, run, directory=directory, credentials=credentials, name=name, password=None
    )
    _write(file, str(token))
    return f"{name}: given a new token"


def main(folder: Path = TOKENS) -> int:
    """Provides the accounts in the store that the environment names.

    Args:
        folder: Holds a folder for each account.

    Returns:
        0, or 1 after saying what is wrong.
    """
    try:
        settings = load_settings()
        if settings.identity_source is not IdentitySource.LOCAL:
            # Outside `local` nobody but an administrator gives out tokens.
            print(f"IDENTITY_SOURCE is {settings.identity_source}: nothing to do")
            return 0
        store = open_store(settings)
        authority = open_authority(settings, store, operator_principal(settings))
        run = process_context("accounts", print)
        for name, role in ACCOUNTS.items():
            said = provide(
                authority,
                run,
                directory=open_directory(settings, store),
                credentials=open_credentials(settings, store),
                name=name,
                role=role,
                file=folder / name / "token",
            )
            print(said)
        empty = open_directory(settings, store).is_empty()
        print("people: none yet" if empty else "people: there are some")
    except InterlockError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _is_right(credentials: Credentials, file: Path, person: Person) -> bool:
    if not file.exists():
        return False
    try:
        return credentials.check_token(file.read_text().strip()).account == person.account
    except SignInRefused:
        return False


def _write(file: Path, token: str) -> None:
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(f"{token}\n")
    draft.rename(file)


if __name__ == "__main__":
    sys.exit(main())
