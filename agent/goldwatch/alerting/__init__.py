"""Alerts: one for one cause, that explains itself; what changed about a target; times in which nobody is called."""
