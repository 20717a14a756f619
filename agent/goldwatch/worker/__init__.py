"""The worker processes: what may import numpy. Nothing of the agent imports it.

`__main__` waits for jobs from the agent. `load` runs the timed replays; `jobs` judge them, with `evaluators`,
`monitors` and `drift`, and make golden sets.
"""
