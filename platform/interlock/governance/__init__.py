"""Decisions: who may act, whether a model is good enough, what the record of it is.

Pure: values in, values out. No module here reads the environment, the clock, the network
or an object store, and none imports an orchestrator or a registry. The effects of these
decisions are in ``interlock.actions``; the outside world is in ``interlock.adapters``.
The one exception is ``PolicyEngine.load``, which reads the policy files.
"""
