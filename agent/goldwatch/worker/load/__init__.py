"""The timed loop: when each query is sent, asking the probe, keeping the answers, and the pace."""
