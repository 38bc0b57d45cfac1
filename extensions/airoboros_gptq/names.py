"""Names by which the webui knows us."""

EXTENSION = 'airoboros_gptq'
LOADER = 'airoboros-GPTQ'
OURS = 'gptq_'  # what every name of a component of ours begins with
CHECKPOINT = 'gptq_checkpoint'
KERNEL = 'gptq_kernel'
FORMAT = 'gptq_format'
FACTS = 'gptq_facts'
REFRESH = 'gptq_refresh'
STATUS = 'gptq_status'
PRESET_OF = 'gptq_preset_of'
UNREADABLE = 'gptq_unreadable'
PLAINFORMAT = 'gptq_plainformat'
PLAINFORMAT_NOTEBOOK = 'gptq_plainformat_notebook'
PLAINFORMAT_DEFAULT = 'gptq_plainformat_default'
CONTEXT_HELPER = 'gptq_context_helper'
BELOW_MESSAGE = 'gptq_below_message'
GLANCE = 'gptq_glance'
LOOK = 'gptq_look'
ALWAYS_PLAINFORMAT = 'gptq_always_plainformat'
IDS_ON_CPU = 'takes_ids_on_the_cpu'  # core/token_loop.py's, which imports torch

# Settings of the Model tab that are saved with a model, with their defaults.
MODEL_SETTINGS = {CHECKPOINT: '', KERNEL: 'auto', FORMAT: 'auto'}
# What the Model tab shows for our loader; the ones without the prefix are the webui's own and mean what they mean there.
# Those that a version lacks are left out.
LOADER_PARAMS = [
    CHECKPOINT,
    KERNEL,
    FORMAT,
    ALWAYS_PLAINFORMAT,
    FACTS,
    'gpu_split',
    'gpu_memory',  # before v3.0, in place of gpu_split
    'cpu_memory',
    'cpu',
    'bf16',
    'attn_implementation',  # before v3.8, in its place, the next two
    'use_eager_attention',
    'use_flash_attention_2',
    'no_use_fast',
]


class _TakenForTransformers(str):
    """'Transformers' to every comparison and look-up; in the webui's log, `LOADER: "…"`, our own name."""

    def __format__(self, spec: str) -> str:
        return format(LOADER, spec)


TAKEN_FOR_TRANSFORMERS = _TakenForTransformers('Transformers')
