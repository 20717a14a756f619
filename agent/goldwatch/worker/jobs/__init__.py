"""The jobs of workers, other than replays: from the columns of replays to judgements; golden sets."""
