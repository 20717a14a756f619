"""Energy, carbon and cost: meters, attribution of readings to the replay, and figures per inference.

Needs only the standard library, since a meter may be read next to a model on a machine that has nothing else. A
figure that cannot be measured is replaced by a reason.
"""
