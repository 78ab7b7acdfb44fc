"""Dagster components: what turns YAML into definitions."""
