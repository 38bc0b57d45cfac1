"""docs/architectures.md: every type that a quantiser lists has a row or a reason, and no figure is left unexplained."""

import json
import re

import architecture_table as page
import pytest
from airoboros_gptq.checkpoint.model_types import known_model_types

REASONS = {name: why for names, why in page.WITHOUT_ROW.items() for name in re.split(r', | \(1\)', names) if name}


def test_a_type_has_a_row_or_a_reason_and_not_both():
    assert not REASONS.keys() & set(page.LISTED)
    assert len(set(page.LISTED)) == len(page.LISTED)


def test_the_reason_is_true_of_the_installed_transformers():
    known = known_model_types() | known_model_types('IMAGE_TEXT_TO_TEXT')
    if not known:
        pytest.skip('this transformers is written otherwise')
    assert {name for name, why in REASONS.items() if why.startswith('not in transformers') and name in known} == set()


def test_every_type_was_run_and_each_deviation_is_explained():
    unexplained = []
    for version, kept in json.loads(page.KEPT.read_text('utf-8')).items():
        assert set(page.LISTED) <= kept['rows'].keys()
        for name, row in kept['rows'].items():
            is_good = 'why' in row or (row['deviation'] < page.TOLERANCE and row['same_text'])
            if not is_good and page.EXPLAINED.get(name, ('',))[0] != version.partition('.')[0]:
                unexplained.append((name, version))
    assert not unexplained


def test_no_row_says_that_this_package_fails():
    for kept in json.loads(page.KEPT.read_text('utf-8')).values():
        for name, row in kept['rows'].items():
            assert row.get('why', 'this transformers').startswith(('this transformers', 'plain transformers')), name
