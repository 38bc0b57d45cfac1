"""The model cards' Python examples, with one import changed."""

import re

import pytest
from airoboros_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig, GPTQError
from support import ACT_ORDER, PLAIN, TINY, copy_tiny, run_python

# TheBloke/airoboros-7B-gpt4-1.2-GPTQ, to the letter but for the import, the folder, and the CPU in place of cuda:0.
CARD = """
from transformers import AutoTokenizer, pipeline, logging
from airoboros_gptq import AutoGPTQForCausalLM, BaseQuantizeConfig
import argparse

model_name_or_path = {folder!r}
model_basename = "airoboros-7b-gpt4-1.2-GPTQ-4bit-128g.no-act-order"

use_triton = False

tokenizer = AutoTokenizer.from_pretrained(model_name_or_path, use_fast=True)

model = AutoGPTQForCausalLM.from_quantized(model_name_or_path,
        model_basename=model_basename,
        use_safetensors=True,
        trust_remote_code=False,
        device="cpu",
        use_triton=use_triton,
        quantize_config=None)

# Note: check the prompt template is correct for this model.
prompt = "Tell me about AI"
prompt_template=f'''USER: {{prompt}}
ASSISTANT:'''

print("\\n\\n*** Generate:")

input_ids = tokenizer(prompt_template, return_tensors='pt').input_ids
output = model.generate(inputs=input_ids, temperature=0.7, max_new_tokens=512)
print(tokenizer.decode(output[0]))

# Inference can also be done using transformers' pipeline

# Prevent printing spurious transformers error when using pipeline with AutoGPTQ
logging.set_verbosity(logging.CRITICAL)

print("*** Pipeline:")
pipe = pipeline(
    "text-generation",
    model=model,
    tokenizer=tokenizer,
    max_new_tokens=512,
    temperature=0.7,
    top_p=0.95,
    repetition_penalty=1.15
)

print(pipe(prompt_template)[0]['generated_text'])
"""


def test_the_card_s_example_runs_as_a_script(tmp_path):
    script = tmp_path / 'example.py'
    script.write_text(CARD.format(folder=str(TINY)))
    code, out, err = run_python(script)
    assert code == 0, err
    generated, piped = out.split('*** Generate:')[1].split('*** Pipeline:')
    assert 'USER: Tell me about AI\nASSISTANT:' in generated and generated.strip().endswith('</s>')
    assert 'ASSISTANT:' in piped
    # The name went stale when the repository's files were renamed.
    assert 'has no airoboros-7b-gpt4-1.2-GPTQ-4bit-128g.no-act-order.safetensors, the name is out of date' in err
    assert f'Loading {PLAIN}' in err


def chosen(caplog, *arguments, **settings):
    with caplog.at_level('INFO', 'airoboros_gptq'):
        model = AutoGPTQForCausalLM.from_quantized(*arguments, device='cpu', **settings)
    return model, re.search(r': (\S+\.safetensors) \(', caplog.text).group(1)


@pytest.mark.parametrize('name', [PLAIN, ACT_ORDER])
def test_a_basename_that_is_there_is_taken(caplog, name):
    assert chosen(caplog, TINY, model_basename=name.removesuffix('.safetensors'))[1] == name


def test_a_config_given_by_hand_comes_before_the_folder_s(caplog, tmp_path):
    assert chosen(caplog, TINY, quantize_config=BaseQuantizeConfig(bits=4, group_size=128))[1] == ACT_ORDER
    folder = copy_tiny(tmp_path / 'tiny', PLAIN)
    (folder / 'quantize_config.json').unlink()
    model, _ = chosen(caplog, folder, quantize_config=BaseQuantizeConfig(4, 128, desc_act=False))
    assert 'group_size=128' in repr(model)


def test_a_config_given_by_hand_may_be_a_dictionary():
    settings = {'bits': 4, 'group_size': 128, 'desc_act': False}
    model = AutoGPTQForCausalLM.from_quantized(TINY, device='cpu', quantize_config=settings)
    assert (model.quantize_config.bits, model.quantize_config.group_size) == (4, 128)


def test_a_config_given_by_hand_that_does_not_fit(caplog):
    with caplog.at_level('WARNING', 'airoboros_gptq'):
        model = AutoGPTQForCausalLM.from_quantized(TINY, device='cpu', quantize_config=BaseQuantizeConfig(4, 64))
    assert 'the quantize_config given says group_size is 64; the tensors have 128' in caplog.text
    assert 'group_size=128' in repr(model)
    with pytest.raises(GPTQError, match='the quantize_config given says bits is 5'):
        AutoGPTQForCausalLM.from_quantized(TINY, device='cpu', quantize_config=BaseQuantizeConfig(5, 128))


def test_defaults_are_autogptq_s():
    c = BaseQuantizeConfig()
    assert (c.bits, c.group_size, c.damp_percent, c.desc_act, c.sym, c.true_sequential) == (
        4,
        -1,
        0.01,
        True,
        True,
        True,
    )


def test_arguments_of_other_cards():
    settings = {'inject_fused_attention': False, 'disable_exllama': True, 'low_cpu_mem_usage': True, 'strict': False}
    assert AutoGPTQForCausalLM.from_quantized(TINY, device='cpu', use_triton=True, **settings)


def test_safetensors_are_taken_whatever_is_asked(caplog):
    assert chosen(caplog, TINY, use_safetensors=False)[1] == PLAIN
    assert 'use_safetensors=False is ignored' in caplog.text


def test_what_it_will_not_do():
    with pytest.raises(TypeError, match="unexpected argument 'devise'"):
        AutoGPTQForCausalLM.from_quantized(TINY, devise='cpu')
    with pytest.raises(TypeError, match='from_quantized'):
        AutoGPTQForCausalLM()


def test_where_a_model_goes(caplog, monkeypatch):
    import torch

    seen = []

    def load(folder, **options):
        seen.append((options['device'], options['max_memory']))
        return torch.nn.Module(), None

    monkeypatch.setattr('airoboros_gptq.model.autogptq_compat.load', load)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr('accelerate.utils.get_max_memory', lambda: {0: 5, 1: 6, 'cpu': 7})
    limits = {0: '10GiB', 'cpu': '20GiB'}
    for settings in (
        {'max_memory': limits},
        {'device_map': 'auto'},
        {'device_map': 'auto', 'device': 'cpu'},
        {'device_map': 'cpu'},
        {'device_map': {'': 1}},
    ):
        AutoGPTQForCausalLM.from_quantized(TINY, **settings)
    assert seen == [(None, limits), (None, {0: 5, 1: 6, 'cpu': 7}), ('cpu', None), ('cpu', None), (1, None)]
    assert 'ignores' not in caplog.text
    AutoGPTQForCausalLM.from_quantized(TINY, device_map={'a': 0, 'b': 1}, disable_exllama=True, offload_folder='o')
    assert 'ignores disable_exllama, offload_folder.' in caplog.text and 'a device_map by module' in caplog.text


def test_the_hub_s_arguments(monkeypatch):
    seen = []

    def resolve_folder(name, *arguments, **options):
        seen.append((arguments, options))
        return TINY

    monkeypatch.setattr('airoboros_gptq.model.autogptq_compat.resolve_folder', resolve_folder)
    options = {'cache_dir': 'x', 'local_files_only': True, 'force_download': False}
    model = AutoGPTQForCausalLM.from_quantized(
        'a/b', device='cpu', revision='r', subfolder='s', use_auth_token='t', **options
    )
    assert seen == [(('r', False, 's'), {**options, 'token': 't'})]
    assert (model.quantize_config.bits, model.quantize_config.group_size) == (4, 128)
    with pytest.raises(GPTQError, match='in order to quantise it'):
        AutoGPTQForCausalLM.from_pretrained('a/b', BaseQuantizeConfig())
