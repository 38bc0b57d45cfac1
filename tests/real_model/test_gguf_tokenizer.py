"""The tokenizer that is made of GGUF, against llama.cpp's ids, and transformers' reader where that is right."""

import pytest
from airoboros_gptq.errors import GPTQError
from airoboros_gptq.model.tokenizer import load_tokenizer
from airoboros_gptq.real_model.gguf_file import GGUFFile
from airoboros_gptq.real_model.gguf_tokenizer import write_tokenizer
from tiny_gguf import vocabulary, write_gguf
from transformers import AutoTokenizer


@pytest.fixture(scope='module')
def tokenizer(gguf_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp('tokenizer')
    write_tokenizer(GGUFFile(gguf_path), folder)
    return load_tokenizer(folder)


def test_ids_are_those_of_the_file(tokenizer):
    tokens = vocabulary()
    assert tokenizer.convert_ids_to_tokens(range(len(tokens))) == tokens
    ids = tokenizer('<|im_start|>hello hello hé\n<|im_end|>').input_ids
    # Ã and © stand for the bytes of é, Ċ for a line break
    assert [tokens[i] for i in ids] == ['<|im_start|>', 'hello', 'Ġhello', 'Ġ', 'h', 'Ã', '©', 'Ċ', '<|im_end|>']
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    for text in ('hello  12 é漢🙂\r\n\t x', "don't 1234,5", ' '):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_transformers_reads_the_same_where_there_are_no_digits(tokenizer, gguf_path):
    theirs = AutoTokenizer.from_pretrained(gguf_path.parent, gguf_file=gguf_path.name)
    text = "hello hello  don't <|im_end|>\n\n  hé 漢🙂"
    assert tokenizer(text).input_ids == theirs(text).input_ids
    messages = [{'role': 'user', 'content': 'hello'}]
    ours, expected = (
        t.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) for t in (tokenizer, theirs)
    )
    assert ours == expected == '<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n'


def test_another_kind_of_tokenizer_is_refused(llama, tmp_path):
    path = write_gguf(tmp_path / 'other.gguf', llama, pre='llama-bpe')
    with pytest.raises(GPTQError, match='llama-bpe where gpt2, smollm is expected'):
        write_tokenizer(GGUFFile(path), tmp_path)
