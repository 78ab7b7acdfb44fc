"""The command line: ``interlock VERB``. One verb per file, named as it is typed.

A verb reads settings, hands plain values to ``actions`` and the layers above them, and shows
what came back: ``verb.py`` is the frame that all of them share (``--json``, ``--debug``, exit
codes, errors), ``app.py`` the table of verbs. Nothing is decided here.
"""

from interlock.cli.app import main

__all__ = ["main"]
