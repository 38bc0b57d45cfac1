"""What a user can ask for as kernel. Apart from `kernels/`, because a menu must not import torch."""

KERNEL_NAMES = ('auto', 'native-cpu', 'triton', 'torch-int4', 'auto-gptq', 'reference')
