"""The drawing of the rooms against the package and its import rules."""

import xml.etree.ElementTree as xml

import draw_design
import test_layering
from support import ROOT

PACKAGE = ROOT / 'extensions' / 'airoboros_gptq'
FLOOR = {name: height for height, floor in enumerate(reversed(draw_design.FLOORS)) for name, _, _ in floor}


def test_every_room_is_drawn_and_no_other():
    drawn = {name for floor in draw_design.FLOORS for name, _, kind in floor if kind != 'planned'}
    assert drawn == set(test_layering.ALLOWED) - {'__main__'}
    planned = {name for floor in draw_design.FLOORS for name, _, kind in floor if kind == 'planned'}
    assert not [name for name in planned if PACKAGE.joinpath(*name.split('.')).exists()]


def test_a_room_imports_only_from_lower_floors():
    climbs = [
        (room, other)
        for room, others in test_layering.ALLOWED.items()
        for other in {name.split('.')[0] for name in others}
        if room in FLOOR and other != '__init__' and FLOOR[other] >= FLOOR[room]  # the root package imports lazily
    ]
    assert not climbs


def test_colours_are_what_is_imported():
    kinds = {name: kind for floor in draw_design.FLOORS for name, _, kind in floor}
    assert {name for name, kind in kinds.items() if kind == 'stdlib'} == test_layering.STDLIB & set(kinds)


def test_the_path_of_a_message_names_files_that_exist():
    for _, heading, _ in (step for step in draw_design.MESSAGE if step[0] == 'own'):
        for name in heading.replace(' or the model', '').split(', '):
            assert (PACKAGE / name).exists(), name


def test_the_drawings_are_svg():
    for drawing in (draw_design.rooms(), draw_design.message()):
        assert xml.fromstring(drawing).tag.endswith('svg')
