"""Joules per inference on an NVIDIA GPU, measured beside others: `python3 -m benchmarks.energy_gpu`."""
