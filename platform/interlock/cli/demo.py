"""``interlock demo``: the first thing to try; the credit risk product with a word on it."""

from __future__ import annotations

from rich.text import Text

from interlock.cli.run import run_product
from interlock.cli.verb import Result, Terminal, verb

PRODUCT = "credit_risk"
TITLE = "Interlock demo: CreditRiskModel on the Statlog German Credit data"
ABOUT = (
    "1,000 real applicants become a registered model version. Every step asks for permission, "
    "records what it does in a locked audit trail, and proves what it builds on."
)


@verb("demo")
def command(terminal: Terminal) -> Result:
    """Run CreditRiskModel on real data, from raw data to a registered version.

    Everything it needs is started on free ports and stopped again; the data stays, so that the
    other verbs work on it.
    """
    terminal.err.print(Text(TITLE, style="bold"), Text(ABOUT, style="dim"), "", sep="\n")
    return run_product(terminal, PRODUCT)
