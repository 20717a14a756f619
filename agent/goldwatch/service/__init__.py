"""The agent as a service: whose turn it is, what happens then, who is called."""
