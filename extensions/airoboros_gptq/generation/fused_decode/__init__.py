"""Decode steps of known architectures as fused GPU kernels in one CUDA graph."""
