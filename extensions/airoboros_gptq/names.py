"""Names that the webui knows this extension by: the loader, its settings, and the keys and ids of its components.

`gptq_checkpoint`, `gptq_kernel` and `gptq_format` stand in users' config-user.yaml and in arguments of the API, and
`gptq_plainformat` in the state of a page: these strings must stay as they are.
"""

EXTENSION = 'airoboros_gptq'
LOADER = 'airoboros-GPTQ'
PREFIX = 'gptq_'  # of the keys of all components of this extension
# Model tab
CHECKPOINT = 'gptq_checkpoint'
KERNEL = 'gptq_kernel'
FORMAT = 'gptq_format'
ALWAYS_PLAINFORMAT = 'gptq_always_plainformat'
FACTS = 'gptq_facts'
REFRESH_FACTS = 'gptq_refresh_facts'
MODEL_STATUS = 'gptq_model_status'  # element id of the webui's own message about the model
PRESET_MODEL = 'gptq_preset_model'
UNREADABLE_MODEL = 'gptq_unreadable_model'
# Chat tab, Notebook and Default tabs
PLAINFORMAT = 'gptq_plainformat'
PLAINFORMAT_NOTEBOOK = 'gptq_plainformat_notebook'
PLAINFORMAT_DEFAULT = 'gptq_plainformat_default'
CONTEXT_HELPER = 'gptq_context_helper'
MESSAGE_FOOTER = 'gptq_message_footer'
STATUS_LINE = 'gptq_status_line'
REFRESH_STATUS_LINE = 'gptq_refresh_status_line'

# A stopping criterion with this attribute, set to True, gets token ids on the CPU: see generation/decode_loop.py.
IDS_ON_CPU = 'takes_ids_on_the_cpu'

# Settings of the Model tab that are saved with a model, with their defaults.
MODEL_SETTINGS: dict[str, str] = {CHECKPOINT: '', KERNEL: 'auto', FORMAT: 'auto'}
# What the Model tab shows for this loader. Those without the prefix are the webui's own settings and keep their meaning;
# those that a version of the webui lacks are left out.
LOADER_PARAMS: list[str] = [
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
    'attn_implementation',  # before v3.8 the next two
    'use_eager_attention',
    'use_flash_attention_2',
    'no_use_fast',
]


class _TransformersAlias(str):
    """Equals 'Transformers' in comparisons and look-ups; formatted into a log line it reads `LOADER`."""

    def __format__(self, spec: str) -> str:
        return format(LOADER, spec)


TRANSFORMERS_ALIAS = _TransformersAlias('Transformers')
