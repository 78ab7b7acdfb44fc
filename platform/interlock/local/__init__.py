"""Embedded mode: S3, MLflow and Dagster on this machine, without Docker.

Here: starting, watching and stopping the services, and the folder that holds their state
(``INTERLOCK_HOME``). Not here: what is stored in them (``adapters/``), what settings mean
(``settings.py``), and the command line (``cli/``). See docs/adr/0006-embedded-mode.md.
"""
