"""From the columns of replays to what is said of them. All of it runs in workers."""
