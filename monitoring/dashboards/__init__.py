"""Grafana's dashboards as code; ``generate.py`` writes them to ``grafana/dashboards``."""
