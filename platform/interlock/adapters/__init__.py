"""The outside world: each module speaks to one foreign system and translates its errors once.

Adapters take plain arguments, read no settings and decide nothing about governance.
"""
