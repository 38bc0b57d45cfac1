"""The chart of a report."""

import xml.etree.ElementTree as ElementTree

from airoboros_gptq.bench import plot


def test_the_plot_shows_every_speed(report):
    found, picture = report
    drawn = ''.join(ElementTree.fromstring(picture.read_text()).itertext())
    for kind in ('prefill', 'decode'):
        for figure in found['engines'][0][kind].values():
            assert f'{figure["tokens_per_second"]:.1f}' in drawn
    two = {**found, 'engines': [found['engines'][0], {**found['engines'][0], 'name': 'a < b'}]}
    assert 'a < b' in ''.join(ElementTree.fromstring(plot.draw([two])).itertext())
