"""Values that agent and workers share, and pass to each other. No I/O, no numpy."""
