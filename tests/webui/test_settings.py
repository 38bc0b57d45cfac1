"""Saved settings are restored, and never keep a webui from starting."""

import pytest
import yaml
from playwright.sync_api import expect

from . import server as webui_server
from .conftest import COPY, MODEL
from .dialect import LOADERS_WITHOUT_EXTENSION
from .driver import Page
from .test_model_tab import ACT_ORDER, NO_ACT_ORDER

EXTENSION = ('--extensions', 'airoboros_gptq')


def test_settings_of_a_model_come_back_when_it_is_picked_again(page, server):
    page.choose_model(MODEL)
    page.pick('checkpoint', ACT_ORDER)
    page.pick('kernel', 'reference')
    page.press('Save settings')
    page.idle()
    expect(page.status).to_contain_text('saved to')
    expect(page.dropdown('checkpoint')).to_have_value(ACT_ORDER)
    page.choose_model(COPY)
    expect(page.dropdown('checkpoint')).to_have_value(NO_ACT_ORDER)
    expect(page.dropdown('kernel')).to_have_value('auto')
    page.choose_model(MODEL)
    expect(page.dropdown('checkpoint')).to_have_value(ACT_ORDER)
    expect(page.dropdown('kernel')).to_have_value('reference')
    assert page.facts()['act-order'][0] == 'yes'
    page.load()
    assert page.facts()['running'][0].startswith('reference')
    config = server.data / 'models' / 'config-user.yaml'
    saved = yaml.safe_load(config.read_text('utf-8'))[f'{MODEL}$']
    assert saved['gptq_checkpoint'] == ACT_ORDER
    assert 'loader' not in saved
    page.pick('checkpoint', NO_ACT_ORDER)
    page.pick('kernel', 'auto')
    page.press('Save settings')
    page.idle()


@pytest.fixture(scope='module')
def saved(make_webui):
    """A webui with saved settings of the tiny model, and with the extension enabled in settings.yaml."""
    webui = make_webui('saved')
    data = webui_server.data_folder(webui)
    settings = {f'{MODEL}$': {'gptq_checkpoint': ACT_ORDER, 'gptq_kernel': 'reference', 'cpu': True, 'bf16': False}}
    (data / 'models' / 'config-user.yaml').write_text(yaml.dump(settings))
    saved = {'dark_theme': False, 'default_extensions': ['airoboros_gptq'], 'preset': 'Airoboros'}
    (data / 'settings.yaml').write_text(yaml.dump(saved))
    return webui


@pytest.mark.parametrize('installed', [True, False])
def test_no_saved_setting_breaks_a_start_with_a_model(saved, start, installed):
    """Without the start hook the webui loads --model before extensions, as unquantised weights, and may fail at that, with or
    without the extension; its settings must make no difference.
    """
    if not installed:
        webui_server.uninstall(saved)
    server = start(saved, '--model', MODEL, *EXTENSION)
    server.wait_for_start_or_end()
    server.stop()
    assert 'KeyError' not in server.log()
    assert 'gptq_' not in server.log()


def test_starts_without_the_extension_after_settings_were_saved_with_it(saved, start, browser):
    server = start(saved).wait()
    page = Page(browser, server.url)
    page.choose_model(MODEL)
    expect(page.dropdown('Model loader')).to_have_value(LOADERS_WITHOUT_EXTENSION)
    assert page.new_errors() == []
    page.close()
    server.stop()
    assert 'Traceback' not in server.log()
