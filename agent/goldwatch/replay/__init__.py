"""Replays: a golden set run once against one target, in a worker process, as columns of observations."""
