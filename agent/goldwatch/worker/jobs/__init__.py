"""The jobs of workers, other than replays: from the columns of replays to what is said of them; golden sets."""
