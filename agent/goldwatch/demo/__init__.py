"""The parts of `goldwatch demo`: a real model behind a real server, on this machine alone."""
