"""What the agent does in a Kubernetes cluster, and only when it is told that it runs in one."""
