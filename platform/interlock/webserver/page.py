"""Pages from before anybody is known: the sign-in form, and refusals. No script, no other file.

They look like the console's, whose style sheet (``console/static/console.css``) is served only to
those who signed in: the colours are the same, in light and in dark. What they load is the style
that is named by its hash in the content security policy.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

MAX_NAME: Final = 128  # characters of a name that is shown again
_STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --raised: #ffffff; --ink: #1d2322; --soft: #59625f;
  --line: #e2e4de; --strong-line: #c6cbc3;
  --accent: #1f6460; --accent-ink: #ffffff;
  --bad: #a3261f; --bad-soft: #fbecea; --wait: #8a5a00;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131716; --raised: #1a1f1e; --ink: #e3e7e4; --soft: #a3aca8;
    --line: #2a312f; --strong-line: #404946;
    --accent: #7cc4bd; --accent-ink: #0c1413;
    --bad: #f09a92; --bad-soft: #331c1a; --wait: #e2b458;
  }
}
* { box-sizing: border-box }
body { display: grid; place-items: center; min-height: 100vh; margin: 0; padding: 1rem;
  background: var(--paper); color: var(--ink) }
main { width: min(24rem, 100%); padding: 1.6rem 1.8rem 1.8rem; background: var(--raised);
  border: 1px solid var(--line); border-radius: 8px }
header { display: flex; align-items: center; justify-content: space-between; margin-bottom: 1.2rem }
.mark { display: inline-flex; align-items: center; gap: .45rem; font-weight: 650; margin: 0 }
.mark svg { width: 1.35rem; height: 1.35rem; fill: none; stroke: var(--accent); stroke-width: 2;
  stroke-linecap: round; stroke-linejoin: round }
.place { font-size: .78rem; padding: 0 .5rem; border: 1px solid var(--strong-line);
  border-radius: 99px; color: var(--soft); overflow-wrap: anywhere }
.place-prod { border-color: var(--bad); color: var(--bad) }
.place-staging { border-color: var(--wait); color: var(--wait) }
h1 { font-size: 1.4rem; line-height: 1.25; font-weight: 600; margin: 0 0 .6rem }
p { margin: 0 0 .7rem; overflow-wrap: anywhere }
.alarm { padding: .6rem .9rem; border-left: 3px solid var(--bad); background: var(--bad-soft) }
label { display: block; font-size: .88rem; color: var(--soft); margin: .8rem 0 .2rem }
input { font: inherit; color: inherit; width: 100%; padding: .45rem .6rem;
  border: 1px solid var(--strong-line); border-radius: 4px; background: var(--paper) }
button { font: inherit; font-weight: 550; width: 100%; margin-top: 1.3rem; padding: .5rem;
  border: 1px solid var(--accent); border-radius: 4px; background: var(--accent);
  color: var(--accent-ink); cursor: pointer }
a { color: var(--accent) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_MARK: Final = (
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 11V7.5a5 5 0 0 1 10 0V11"/>'
    '<rect x="4.5" y="11" width="15" height="9.5" rx="2"/><path d="m9 15.5 2.2 2.2 4-4"/></svg>'
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Interlock</title>
<style>{style}</style>
</head>
<body>
<main>
<header><p class="mark">{mark}Interlock</p>{place}</header>
<h1>{title}</h1>
{content}
</main>
</body>
</html>
"""
_FORM: Final = """{message}
<form method="post" action="/sign-in">
<label for="name">Name</label>
<input id="name" name="name" value="{name}" autocomplete="username" required maxlength="{longest}"\
{at_name}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required\
{at_password}>
<button type="submit">Sign in</button>
</form>"""


def sign_in_page(environment: str, message: str = "", name: str = "") -> str:
    """The form.

    Args:
        environment: Where this server runs.
        message: Why the last attempt did not succeed.
        name: What was typed then, to be there again.
    """
    name = name[:MAX_NAME]
    content = _FORM.format(
        message=_alarm(message) if message else "",
        name=escape(name),
        longest=MAX_NAME,
        at_name="" if name else " autofocus",
        at_password=" autofocus" if name else "",
    )
    return _page("Sign in", content, environment)


def refusal_page(message: str, remedy: str) -> str:
    """Why a request was not answered.

    Args:
        message: Why, without full stop.
        remedy: What the person can do, a sentence.
    """
    return _page("Not answered", f"{_alarm(f'{message}.')}\n<p>{escape(remedy)}</p>")


def _alarm(message: str) -> str:
    return f'<p class="alarm" role="alert">{escape(message[:1].upper() + message[1:])}</p>'


def _page(title: str, content: str, environment: str = "") -> str:
    where = escape(environment)
    place = f'<span class="place place-{where}" title="Environment">{where}</span>'
    return _PAGE.format(
        title=escape(title),
        style=_STYLE,
        mark=_MARK,
        place=place if environment else "",
        content=content,
    )
