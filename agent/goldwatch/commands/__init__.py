"""The commands other than the agent itself; `cli` has their arguments."""
