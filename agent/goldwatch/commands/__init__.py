"""What commands do beside the agent; `cli` has their arguments."""
