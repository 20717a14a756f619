"""Reads the examples that people have: tables of any column names. Runs in a worker, with numpy."""
