"""Joules per inference on an NVIDIA GPU, compared with other methods: `python3 -m benchmarks.energy_gpu`."""
