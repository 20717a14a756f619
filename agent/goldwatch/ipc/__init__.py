"""The wall between agent and workers: the pool, the channel, the shared columns, the fence of the lease."""
