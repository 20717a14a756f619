"""For authors of probes: a fake probe, a fake clock, and the conformance suite that every probe must pass."""
