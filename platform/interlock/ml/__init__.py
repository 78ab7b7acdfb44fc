"""Numerics: tables and arrays in, values out; no I/O, no framework, no environment."""
