"""The page: model menu, Load, what was read, chat, PLAINFORMAT, answers from sources."""

from __future__ import annotations

import sys
from pathlib import Path

import gradio as gr

from ..airoboros.conversation import SAMPLING
from ..errors import GPTQError
from ..ui import controls
from ..ui import html as view
from ..ui.context_helper import context_helper
from .chat import Engine, list_models

_CSS = view.CSS + '#chat { height: 55vh; }'


def build(model_dir: Path) -> gr.Blocks:
    """The page for the model folders in `model_dir`. One model is loaded at a time, for all browsers."""
    engine = Engine(model_dir)
    names = list_models(model_dir)
    with gr.Blocks(title='airoboros-GPTQ', css=_CSS, analytics_enabled=False) as page:
        gr.Markdown('# airoboros-GPTQ\nGPTQ models in a chat, with nothing to compile.')
        with gr.Row():
            with gr.Column(scale=2):
                model = gr.Dropdown(label='Model', choices=names, value=names[0] if names else None)
                checkpoint = controls.checkpoint_dropdown()
                kernel = controls.kernel_dropdown()
                zeros = controls.format_dropdown()
                with gr.Row():
                    load = gr.Button('Load', variant='primary')
                    unload = gr.Button('Unload')
                status = gr.Markdown('No model is loaded', elem_id='status')
                facts = controls.facts_box()
            with gr.Column(scale=3):
                chat = gr.Chatbot(type='messages', elem_id='chat', label='Chat', show_copy_button=True)
                message = gr.Textbox(placeholder='Send a message', show_label=False, lines=2, elem_id='message')
                plainformat = controls.plainformat_box(visible=False)
                with gr.Row():
                    send = gr.Button('Send', variant='primary')
                    stop = gr.Button('Stop')
                    again = gr.Button('Regenerate')
                    clear = gr.Button('New chat')
                sources = context_helper(message, visible=False)
                with gr.Accordion('Sampling', open=False):
                    temperature = gr.Slider(0, 2, SAMPLING['temperature'], step=0.05, label='temperature')
                    top_p = gr.Slider(0.05, 1, SAMPLING['top_p'], step=0.05, label='top_p')
                    penalty = gr.Slider(1, 2, SAMPLING['repetition_penalty'], step=0.05, label='repetition_penalty')
                    length = gr.Slider(16, 2048, 512, step=16, label='max_new_tokens')
        sampling = [temperature, top_p, penalty, length]

        def pick(name):
            """A format is named for one folder: the next one starts with auto."""
            try:
                read = engine.facts(name)
            except GPTQError as e:
                return gr.update(choices=[], value=''), 'auto', view.error_html(str(e))
            menu = gr.update(choices=read.candidates, value=read.checkpoint.name, interactive=len(read.candidates) > 1)
            return menu, 'auto', view.facts_html(read, engine.running(read))

        def show(name, wanted, form):
            try:
                read = engine.facts(name, wanted, form)
            except GPTQError as e:
                return view.error_html(str(e))
            return view.facts_html(read, engine.running(read))

        def offered():
            """PLAINFORMAT and the helper, for what is loaded."""
            return gr.update(visible=engine.offers_plainformat), gr.update(visible=engine.airoboros is not None)

        def do_load(name, wanted, chosen_kernel, form, progress=gr.Progress()):  # noqa: B008 (gradio reads the default)
            try:
                engine.load(
                    name, wanted, chosen_kernel, form, lambda done, total: progress(done / total, desc='Loading')
                )
            except GPTQError as e:
                return str(e)
            return f'Successfully loaded `{name}`.'

        def do_unload():
            engine.unload()
            return 'Model unloaded'

        def ask(text, turns, plain, *settings):
            yield from engine.answer(
                [*turns, {'role': 'user', 'content': text}] if text.strip() else turns, plain, settings
            )

        def regenerate(turns, plain, *settings):
            yield from engine.answer(
                turns[:-1] if turns and turns[-1]['role'] == 'assistant' else turns, plain, settings
            )

        # What was typed and what came back, as plain text; the chatbot shows it with code in blocks.
        turns = gr.State([])
        page.load(pick, model, [checkpoint, zeros, facts], show_progress='hidden')
        page.load(offered, None, [plainformat, sources], show_progress='hidden')
        model.change(pick, model, [checkpoint, zeros, facts], show_progress='hidden')
        for menu in (checkpoint, zeros):
            menu.input(show, [model, checkpoint, zeros], facts, show_progress='hidden')
        for changed in (
            load.click(do_load, [model, checkpoint, kernel, zeros], status),
            unload.click(do_unload, None, status),
        ):
            changed.then(show, [model, checkpoint, zeros], facts, show_progress='hidden')
            changed.then(offered, None, [plainformat, sources], show_progress='hidden')
        started = [
            event(ask, [message, turns, plainformat, *sampling], [chat, turns, message], show_progress='hidden')
            for event in (send.click, message.submit)
        ]
        started.append(
            again.click(regenerate, [turns, plainformat, *sampling], [chat, turns, message], show_progress='hidden')
        )
        stop.click(None, None, None, cancels=started)
        clear.click(lambda: ([], []), None, [chat, turns], cancels=started)
    return page


def serve(model_dir: str, port: int | None = None, open_browser: bool = True) -> int:
    """Serves the page on 127.0.0.1 until Ctrl+C; returns the exit code. Raises GPTQError for a folder without models."""
    folder = Path(model_dir).expanduser()
    if not folder.is_dir():
        raise GPTQError(f'{folder} is not a folder; give the one that holds your model folders.')
    if not list_models(folder):
        raise GPTQError(f'{folder} holds no folder with a GPTQ model; give the one that holds your model folders.')
    page = build(folder)
    page.queue()
    page.launch(
        server_name='127.0.0.1', server_port=port, inbrowser=open_browser, show_api=False, prevent_thread_lock=True
    )
    print(f'Open {page.local_url} in a browser; Ctrl+C ends.', file=sys.stderr, flush=True)
    page.block_thread()
    return 0
