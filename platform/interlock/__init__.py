"""Interlock: a Dagster asset-based MLOps platform with governance guardrails."""

__version__ = "0.1.0"
