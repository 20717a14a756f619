"""What `goldwatch demo` runs: a real model behind a real server, on this machine alone."""
