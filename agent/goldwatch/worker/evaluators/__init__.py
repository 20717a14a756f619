"""Scores: one number from a replay, with its interval, by the golden set's task."""
