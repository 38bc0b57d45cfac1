"""The walk through load(path): what a climb is, and how many there are."""

import re

from count_climbs import MAX_CLIMBS, ROOT, Step, as_text, count_climbs
from support import TINY, run_python

DOWN = [Step('model.load', 'load'), Step('checkpoint.hub', 'resolve_folder'), Step('airoboros.versions', 'detect')]


def test_a_climb_leads_to_a_higher_floor_than_the_step_before():
    assert count_climbs([]) == count_climbs(DOWN) == 0
    assert count_climbs([*DOWN, Step('preflight.devices', 'free_memory'), Step('generation.runtime', 'attach')]) == 1
    assert count_climbs([*DOWN, *DOWN, *DOWN]) == 2


def test_each_visit_of_a_module_is_a_line():
    lines = as_text([*DOWN, Step('airoboros.versions', 'read'), Step('model.build', 'build_model')]).splitlines()
    assert [re.split(r'\s{2,}', line.strip())[-1] for line in lines] == [
        'load',
        'resolve_folder',
        'detect, read',
        'build_model',
    ]
    assert [line[0] for line in lines] == [' ', ' ', ' ', '↑']


def test_loading_climbs_at_most_five_times():
    assert MAX_CLIMBS == 5
    code, out, err = run_python(ROOT / 'tools' / 'count_climbs.py', TINY)
    assert code == 0, out + err
    *walk, last = out.splitlines()
    assert int(re.search(r'(\d+) climbs', last)[1]) == sum(line.startswith('↑') for line in walk) <= 5
    # From the folder to the model, through all of the rooms below.
    visited = [line[4:].split()[0] for line in walk]
    assert visited[0] == 'model.load' and {'preflight.folder_summary', 'model.load_weights', 'kernels.linear'} < set(
        visited
    )
    assert (
        visited.index('checkpoint.safetensors_header')
        < visited.index('kernels.linear')
        < visited.index('generation.runtime')
    )
