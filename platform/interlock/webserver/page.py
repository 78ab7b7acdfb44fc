"""The sign-in page: one form, no script, readable without colours and by a screen reader."""

from __future__ import annotations

from html import escape

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in - Interlock</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ display: grid; place-items: center; min-height: 100vh; margin: 0 }}
form {{ width: min(22rem, 90vw) }}
label {{ display: block; margin-top: 1rem }}
input, button {{ font: inherit; width: 100%; box-sizing: border-box; padding: .5rem }}
button {{ margin-top: 1.5rem }}
</style>
</head>
<body>
<main>
<form method="post" action="/sign-in">
<h1>Interlock</h1>
<p>Environment: <strong>{environment}</strong></p>
{message}
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" required autofocus maxlength="128">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Sign in</button>
</form>
</main>
</body>
</html>
"""


def sign_in_page(environment: str, message: str = "") -> str:
    """The page.

    Args:
        environment: Where this server runs.
        message: Why the last attempt did not succeed.
    """
    told = f'<p role="alert">{escape(message)}</p>' if message else ""
    return _PAGE.format(environment=escape(environment), message=told)
