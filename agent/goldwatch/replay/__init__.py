"""Replays as seen from the agent: a golden set run once against one target, in a worker process."""
