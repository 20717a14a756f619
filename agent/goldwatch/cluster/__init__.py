"""Kubernetes support, used only if the agent is configured to run in a cluster."""
