"""Names by which the webui knows us."""

LOADER = 'airoboros-GPTQ'
CHECKPOINT = 'gptq_checkpoint'
KERNEL = 'gptq_kernel'
FORMAT = 'gptq_format'
FACTS = 'gptq_facts'
REFRESH = 'gptq_refresh'
PRESET_OF = 'gptq_preset_of'
PLAINFORMAT = 'gptq_plainformat'
CONTEXT_HELPER = 'gptq_context_helper'

# Settings of the Model tab that are saved with a model, with their defaults.
MODEL_SETTINGS = {CHECKPOINT: '', KERNEL: 'auto', FORMAT: 'auto'}
# What the Model tab shows for our loader; the ones without the prefix are the webui's own and mean what they mean there.
LOADER_PARAMS = [CHECKPOINT, KERNEL, FORMAT, FACTS, 'cpu', 'bf16', 'attn_implementation', 'no_use_fast']
