"""The agent's half of each monitor, a file for each: when a watch has it, its settings, its words. No numpy.

The other half of each is the file of the same name in `goldwatch.worker.monitors`: how it is built, what it looks at
and what it notices. `goldwatch.core.kinds` lists them.
"""
