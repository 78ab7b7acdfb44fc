"""Dagster's web server with people who sign in, and the run coordinator that says who a run is for.

Here is everything that touches Dagster's private names for that; decisions are in ``governance``.
ADR-0012.
"""
