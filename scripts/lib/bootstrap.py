"""What must work before anything is installed: uv from the package index, and pip's settings.

Run by ``scripts/lib/environment.sh`` with a bare Python 3.11 or newer, also one whose pip refuses
to install (PEP 668) or is missing.

    bootstrap.py settings             pip's settings as shell assignments for uv
    bootstrap.py uv LOCK FOLDER       puts the uv of LOCK into FOLDER, verified by its hash

uv ignores pip's configuration, so where the machine says for pip alone where its index is, that
is handed on. What is set for uv itself always wins.
"""

# ruff: noqa: INP001 - a script, no package

from __future__ import annotations

import base64
import configparser
import contextlib
import hashlib
import html.parser
import io
import json
import netrc
import os
import platform
import re
import shlex
import ssl
import sys
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple"
TIMEOUT_SECONDS = 60.0
INDEX_FORMATS = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
# pip's setting, the variable of uv that means the same, and what joins several values for uv.
FOR_UV = (
    ("index-url", "UV_DEFAULT_INDEX", " "),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("timeout", "UV_HTTP_TIMEOUT", " "),
    ("cert", "SSL_CERT_FILE", " "),
    ("proxy", "ALL_PROXY", " "),
)


class BootstrapError(Exception):
    """Said to the person as it is."""


def pip_configuration_files(environ: Mapping[str, str]) -> list[Path]:
    """Files that pip would read, the one that counts most last.

    Source: pip's user guide, "Configuration", "Location".
    """
    named = environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = Path(environ.get("HOME", "/nonexistent"))
    shared = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    files = [Path(folder) / "pip" / "pip.conf" for folder in shared.split(":")]
    if sys.platform == "darwin":
        files.append(Path("/Library/Application Support/pip/pip.conf"))
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf"]
    files.append(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf")
    if sys.platform == "darwin":
        files.append(home / "Library" / "Application Support" / "pip" / "pip.conf")
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(named)] if named else files


def pip_settings(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """What pip would use: its files, and over them its variables.

    Args:
        environ: Environment variables.

    Returns:
        Name, e.g. ``index-url``, to values.
    """
    found: dict[str, list[str]] = {}
    for path in pip_configuration_files(environ):
        parser = configparser.RawConfigParser()
        with contextlib.suppress(OSError, configparser.Error):
            parser.read_string(path.read_text(encoding="utf-8"))
        for section in ("global", "download", "install"):
            if parser.has_section(section):
                found |= {name: value.split() for name, value in parser.items(section) if value}
    for name, value in environ.items():
        if name.startswith("PIP_") and value.strip():
            found[name[4:].lower().replace("_", "-")] = value.split()
    if "default-timeout" in found:
        found["timeout"] = found["default-timeout"]
    return found


def uv_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that tell uv what pip is told, where uv itself is told nothing.

    Args:
        environ: Environment variables.

    Returns:
        Variables to set.
    """
    pip = pip_settings(environ)
    if uv_has_an_index(environ):
        for name in ("index-url", "extra-index-url", "find-links"):
            pip.pop(name, None)
    pip["find-links"] = [
        place for place in pip.get("find-links", []) if "://" in place or Path(place).is_dir()
    ]
    variables = {
        variable: joint.join(pip[name])
        for name, variable, joint in FOR_UV
        if pip.get(name) and not environ.get(variable)
    }
    if "UV_INDEX" in variables and not environ.get("UV_INDEX_STRATEGY"):
        # pip takes the best of all indexes; the lock file's hashes say which file is right.
        variables["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return variables


def uv_has_an_index(environ: Mapping[str, str]) -> bool:
    """Whether somebody chose an index for uv, by variable or in one of its files."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
    if any(environ.get(name) for name in names):
        return True
    home = Path(environ.get("HOME", "/nonexistent"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = environ.get("UV_CONFIG_FILE")
    files = [Path(named)] if named else [config / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]
    for path in files:
        with contextlib.suppress(OSError):
            if re.search(r"^\s*(\[\[index\]\]|(extra-)?index-url\s*=)", path.read_text(), re.M):
                return True
    return False


def locked_uv(lock: str) -> tuple[str, frozenset[str]]:
    """The version of uv that a lock file names.

    Args:
        lock: The lock file's text.

    Returns:
        Version, and the SHA-256 of each of its files.

    Raises:
        BootstrapError: The lock file has no uv.
    """
    entry = re.search(r"^uv==(\S+)((?:.*\\\n)*.*)$", lock, re.M)
    if entry is None:
        raise BootstrapError("the lock file names no uv; run `make lock`")
    return entry[1], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry[0]))


def is_for_this_machine(filename: str, version: str) -> bool:
    """Whether a file of the index is the wheel of uv for this machine.

    Args:
        filename: Its name.
        version: The version that is wanted.
    """
    match = re.fullmatch(rf"uv-{re.escape(version)}-py3-none-(.+)\.whl", filename)
    if match is None:
        return False
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if sys.platform == "darwin":
        return match[1].startswith("macosx") and match[1].endswith(machine)
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    if sys.platform == "linux":
        machine = {"arm64": "aarch64"}.get(machine, machine)
    return libc in match[1] and match[1].endswith(machine)


class _Links(html.parser.HTMLParser):
    """The files of an index page, PEP 503."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href)


class Web:
    """Reads addresses as pip would: its certificates, proxy, trusted hosts and passwords."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        pip = pip_settings(environ)
        bundle = (pip.get("cert") or [environ.get("SSL_CERT_FILE", "")])[0]
        context = ssl.create_default_context(cafile=bundle or None)
        unchecked = ssl.create_default_context()
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        chosen = pip.get("proxy")  # else what HTTPS_PROXY and its like say
        proxies = dict.fromkeys(("http", "https"), chosen[0]) if chosen else None
        proxy = urllib.request.ProxyHandler(proxies)
        self._trusted = {host.split(":")[0] for host in pip.get("trusted-host", [])}
        self._checked = urllib.request.build_opener(
            proxy, urllib.request.HTTPSHandler(context=context)
        )
        self._unchecked = urllib.request.build_opener(
            proxy, urllib.request.HTTPSHandler(context=unchecked)
        )

    def read(self, address: str, *, accept: str = "*/*") -> tuple[bytes, str]:
        """The content of an address, and its content type."""
        parts = urllib.parse.urlsplit(address)
        host = parts.hostname or ""
        user, password = parts.username, parts.password or ""
        if user is None:
            with contextlib.suppress(OSError, netrc.NetrcParseError):
                known = netrc.netrc().authenticators(host)
                user, password = (known[0], known[2] or "") if known else (None, "")
        bare = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        headers = {"Accept": accept, "User-Agent": "interlock"}
        request = urllib.request.Request(bare, headers=headers)  # noqa: S310 - pip's own index
        if user is not None:
            pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}"
            request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        opener = self._unchecked if host in self._trusted else self._checked
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.read(), answer.headers.get_content_type()


def candidates(web: Web, pip: Mapping[str, list[str]], uv_index: str) -> Iterator[str]:
    """Addresses and paths of files that may be wheels of uv, the nearest first."""
    pages = [uv_index] if uv_index else pip.get("index-url", [DEFAULT_INDEX])
    pages = [*pages, *pip.get("extra-index-url", [])]
    for place in pip.get("find-links", []):
        if "://" in place:
            yield from links(web, place)
        else:
            yield from sorted(str(path) for path in Path(place).glob("uv-*.whl"))
    if pip.get("no-index", ["0"])[0].lower() not in {"1", "true", "yes", "on"}:
        for page in pages:
            yield from links(web, f"{page.rstrip('/')}/uv/")


def links(web: Web, page: str) -> list[str]:
    """The files that an index page lists; none when it cannot be read."""
    try:
        body, kind = web.read(page, accept=INDEX_FORMATS)
    except OSError as error:
        print(f"  {page.rpartition('@')[2]}: {error}", file=sys.stderr)
        return []
    if kind.endswith("json"):
        found = [str(file["url"]) for file in json.loads(body)["files"]]
    else:
        parser = _Links()
        parser.feed(body.decode(errors="replace"))
        found = parser.found
    credentials = urllib.parse.urlsplit(page).netloc.rpartition("@")[0]
    return [
        _with_credentials(urllib.parse.urljoin(page, link), page, credentials) for link in found
    ]


def _with_credentials(address: str, page: str, credentials: str) -> str:
    """The address, with the page's password when it is on the same host."""
    parts, origin = urllib.parse.urlsplit(address), urllib.parse.urlsplit(page)
    if not credentials or parts.hostname != origin.hostname or "@" in parts.netloc:
        return address
    return urllib.parse.urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc}"))


def get_uv(lock: Path, folder: Path, environ: Mapping[str, str]) -> Path:
    """Puts uv into a folder.

    Args:
        lock: Lock file that names its version and hashes.
        folder: Where to put it.
        environ: Environment variables.

    Returns:
        The program.

    Raises:
        BootstrapError: No index offers a file for this machine with a hash of the lock file.
    """
    version, hashes = locked_uv(lock.read_text())
    web, pip = Web(environ), pip_settings(environ)
    chosen = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or ""
    for place in candidates(web, pip, chosen):
        name = urllib.parse.unquote(urllib.parse.urlsplit(place).path.rpartition("/")[2])
        if not is_for_this_machine(name, version):
            continue
        print(f"  getting {name}", file=sys.stderr)
        body = web.read(place)[0] if "://" in place else Path(place).read_bytes()
        if hashlib.sha256(body).hexdigest() not in hashes:
            raise BootstrapError(f"{name} has none of the hashes in {lock.name}; it is not used")
        return unpack(body, f"uv-{version}.data/scripts/uv", folder)
    raise BootstrapError(
        f"no index offers uv {version} for {sys.platform} {platform.machine()}; "
        "install uv yourself (https://docs.astral.sh/uv) and run this again"
    )


def unpack(wheel: bytes, member: str, folder: Path) -> Path:
    """Takes one program out of a wheel.

    Args:
        wheel: The wheel.
        member: The program's path in it.
        folder: Where to put it.

    Returns:
        The program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / Path(member).name
    draft = folder / f".{program.name}.{os.getpid()}"
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        draft.write_bytes(archive.read(member))
    draft.chmod(0o755)
    draft.replace(program)
    return program


def main(words: list[str], environ: Mapping[str, str]) -> int:
    """Runs one of the commands; returns the exit status."""
    match words:
        case ["settings"]:
            for name, value in uv_settings(environ).items():
                print(f"export {name}={shlex.quote(value)}")
        case ["uv", lock, folder]:
            try:
                print(get_uv(Path(lock), Path(folder), environ))
            except (BootstrapError, OSError, zipfile.BadZipFile, KeyError) as error:
                print(f"cannot get uv: {error}", file=sys.stderr)
                return 1
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
