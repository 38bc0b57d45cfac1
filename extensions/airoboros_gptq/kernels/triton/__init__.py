"""Triton's kernels for NVIDIA GPUs: GPTQ linears, for one row and for many."""
