"""Rows of live traffic and the reference that they are compared with."""
