"""Monitors: sequential tests that keep one false-alarm budget however often they look."""
