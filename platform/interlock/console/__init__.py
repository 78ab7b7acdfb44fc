"""The console: models, versions, approvals and the audit trail as web pages, without Dagster.

Here: what pages show and how they ask. What people do is in ``actions``, the very code that the
command line calls; who may is decided in ``governance``; who somebody is, the door of
``webserver`` finds out. ADR-0013.
"""
