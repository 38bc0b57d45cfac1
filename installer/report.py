"""What install.py says when it is done: every place that it wrote to, and what comes next."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from . import NAME, read_version
from .cache import cache_folder
from .payload import COPIED_FOLDERS
from .saved_settings import is_enabled
from .webui_tree import Webui

if TYPE_CHECKING:
    from .install import Plan

MODEL = 'TheBloke/airoboros-7B-gpt4-1.2-GPTQ'
HOOK = (
    'the start hook, which PyTorch imports so that `--model NAME` can load GPTQ folders; --no-start-hook leaves it out'
)


def report_install(webui: Webui, plan: Plan, previous: str, enabled: bool, newly: bool, with_hook: bool) -> None:
    """Prints what an install did. enabled: --enable was given and worked; newly: it had to change settings.yaml."""
    version = read_version()
    was = f' in place of {previous}' if previous not in ('', version) else ''
    done = f'{_count(plan.writes)} written, {len(plan.removals)} removed'
    if not plan.writes and not plan.removals:
        done = 'already installed' if newly else 'already installed, nothing to do'
    print(f'{NAME} {version}{was}: {done}.')
    print(f'  {webui.extension}: the extension.')
    for folder in COPIED_FOLDERS:
        names = [webui.at(rel).name for rel in plan.records if webui.at(rel).parent == webui.data / folder]
        if names:
            print(f'  {webui.data / folder}: {", ".join(names)}.')
    if with_hook:
        print(f'  {webui.hook_module}, {webui.hook_entry.name}: {HOOK}.')
    if enabled:
        print(f'  {webui.settings}: {"enabled" if newly else "already enabled"} in default_extensions.')
    for rel in plan.kept:
        print(f'Kept {webui.at(rel)}, which was there before or has been edited.')


def report_next(webui: Webui) -> None:
    """Prints what to do now."""
    script = {'nt': 'start_windows.bat'}.get(
        os.name, 'start_macos.sh' if sys.platform == 'darwin' else 'start_linux.sh'
    )
    command = str(webui.root / script) if (webui.root / script).is_file() else 'python server.py'
    flag = '' if is_enabled(webui) else f' --extensions {NAME}'
    hint = ' (or run this again with --enable)' if flag else ''
    print(f'The first load compiles the CPU kernel, where there is a C++ compiler, into {cache_folder()}.')
    print(
        f'Next: start the webui with `{command}{flag}`{hint}, open its Model tab, choose a GPTQ folder, or first download '
        f'{MODEL} there, and press Load.'
    )


def _count(items: list[str]) -> str:
    return f'{len(items)} file{"s" * (len(items) != 1)}'
