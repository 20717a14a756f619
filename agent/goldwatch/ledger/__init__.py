"""The history on disk: as the agent writes it, and as it is read."""
