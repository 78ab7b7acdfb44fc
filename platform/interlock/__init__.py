"""Interlock: a Dagster asset-based MLOps platform with governance guardrails."""
