"""The probes that ship with goldwatch, one module a framework or protocol. They are found by entry point."""
