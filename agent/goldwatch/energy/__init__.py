"""Energy, carbon and cost: meters, what of a reading belongs to the replay, and what it comes to per inference.

Nothing here needs more than the standard library, since a meter may be read beside a model on a machine that has
nothing else. Where a figure cannot be measured there is a reason instead of it.
"""
