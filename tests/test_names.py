"""Names that stand in users' files, in API calls and in the webui's tables."""

from airoboros_gptq import names


def test_saved_names_stay():
    """They stand in config-user.yaml, in settings.yaml, and in API arguments."""
    assert names.MODEL_SETTINGS == {'gptq_checkpoint': '', 'gptq_kernel': 'auto', 'gptq_format': 'auto'}
    assert (names.LOADER, names.EXTENSION, names.PLAINFORMAT) == (
        'airoboros-GPTQ',
        'airoboros_gptq',
        'gptq_plainformat',
    )


def test_component_keys_are_distinct_and_have_the_prefix():
    keys = [value for value in vars(names).values() if type(value) is str and value.startswith(names.PREFIX)]
    assert len(keys) - 1 == len(set(keys) - {names.PREFIX})
    assert len(set(keys)) > 10


def test_the_alias_is_transformers_to_the_webui_and_the_loaders_name_in_its_log():
    alias = names.TRANSFORMERS_ALIAS
    assert alias == 'Transformers' and {'Transformers': 1}[alias] == 1
    assert f'LOADER: "{alias}"' == 'LOADER: "airoboros-GPTQ"'


def test_ids_on_cpu_is_the_attribute_that_generation_reads():
    from airoboros_gptq.generation import decode_loop

    assert decode_loop.IDS_ON_CPU == names.IDS_ON_CPU
