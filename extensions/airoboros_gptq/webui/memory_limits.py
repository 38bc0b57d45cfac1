"""Memory limits of the Model tab (gpu-split, cpu-memory), read as the webui's Transformers loader reads them."""

from __future__ import annotations

from typing import Any


def max_memory(args: Any) -> dict[int | str, int | str] | None:
    """Device -> memory limit, in bytes or as '20GiB', of the webui's `shared.args`; None where no limit is set.

    `gpu_split` ('20,7', since v3.0) and `gpu_memory` (['20', '3500MiB'], before) are in GiB unless they have a unit; so is
    `cpu_memory`. Only GPUs with a limit are used; where none has one, all are, up to their free memory.
    """
    gpus = getattr(args, 'gpu_memory', None) if hasattr(args, 'gpu_memory') else getattr(args, 'gpu_split', None)
    gpus = gpus.split(',') if isinstance(gpus, str) else gpus
    limits: dict[int | str, int | str] = {i: _with_unit(g) for i, g in enumerate(gpus or []) if str(g).strip()}
    cpu_memory = str(getattr(args, 'cpu_memory', None) or '').strip()
    limits_cpu = cpu_memory and cpu_memory not in ('0', '0.0', '0MiB')
    if args.cpu or not (limits or limits_cpu):
        return None
    from ..model.device_map import free_gpu_memory

    free = free_gpu_memory()
    if not free:
        return None  # no GPU: all of the model goes to the CPU, with or without limits
    limits = limits or {gpu: size for gpu, size in free.items()}
    return limits | {'cpu': _with_unit(cpu_memory)} if limits_cpu else limits


def _with_unit(size: object) -> str:
    text = str(size).strip()
    return text if text.lower().endswith('b') else f'{text}GiB'
