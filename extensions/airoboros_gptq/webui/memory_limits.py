"""What gpu-split and cpu-memory ask for, as limits for the core. They are read as the webui's Transformers loader does."""

from __future__ import annotations


def max_memory(args) -> dict[int | str, int | str] | None:
    """Device -> the most that may lie there, of the webui's `shared.args`; None where nothing is asked for.

    `gpu_split` ('20,7', since v3.0) and `gpu_memory` (['20', '3500MiB'], before) are GiB where no unit stands; so is
    `cpu_memory`. GPUs that are named are the only ones used; where none is, all are, as far as they are free.
    """
    gpus = getattr(args, 'gpu_memory', None) if hasattr(args, 'gpu_memory') else getattr(args, 'gpu_split', None)
    gpus = gpus.split(',') if isinstance(gpus, str) else gpus
    limits: dict[int | str, int | str] = {i: _with_unit(g) for i, g in enumerate(gpus or []) if str(g).strip()}
    on_cpu = str(getattr(args, 'cpu_memory', None) or '').strip()
    wants_cpu = on_cpu and on_cpu not in ('0', '0.0', '0MiB')
    if args.cpu or not (limits or wants_cpu):
        return None
    import torch

    if not torch.cuda.is_available():
        return None  # all of it goes to the CPU, as it would without limits
    limits = limits or {i: torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count())}
    return limits | {'cpu': _with_unit(on_cpu)} if wants_cpu else limits


def _with_unit(size) -> str:
    size = str(size).strip()
    return size if size.lower().endswith('b') else f'{size}GiB'
