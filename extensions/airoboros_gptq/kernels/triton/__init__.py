"""Triton's kernels for NVIDIA GPUs: GPTQ linears of one row and of many, attention over a cache, and what lies between."""
