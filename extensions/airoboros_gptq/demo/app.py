"""The demo page: model menu and panel on the left, chat, PLAINFORMAT and context helper on the right."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..airoboros.conversation import SAMPLING
from ..errors import GPTQError
from ..session import ModelSession
from ..ui import controls, html
from ..ui.context_helper import context_helper
from .chat import Message, answer, for_display, list_models, plainformat_spaces

if TYPE_CHECKING:
    from ..preflight.folder_summary import FolderSummary

_CSS = html.CSS + '#chat { height: 55vh; }'


def serve(model_dir: str, port: int | None = None, open_browser: bool = True) -> int:
    """Serves the page on 127.0.0.1 until Ctrl+C; returns the exit code. Raises GPTQError for a folder without models."""
    folder = Path(model_dir).expanduser()
    if not folder.is_dir():
        raise GPTQError(f'{folder} is not a folder; give the one that holds your model folders.')
    if not list_models(folder):
        raise GPTQError(f'{folder} holds no folder with a GPTQ model; give the one that holds your model folders.')
    page = DemoPage(folder).build()
    page.queue()
    page.launch(
        server_name='127.0.0.1', server_port=port, inbrowser=open_browser, show_api=False, prevent_thread_lock=True
    )
    print(f'Open {page.local_url} in a browser; Ctrl+C ends.', file=sys.stderr, flush=True)
    page.block_thread()
    return 0


class DemoPage:
    """The page for the model folders in `model_dir`. All browsers share the one loaded model."""

    def __init__(self, model_dir: Path):
        self.model_dir = model_dir
        self.session = ModelSession()

    # Layout

    def build(self) -> gr.Blocks:
        with gr.Blocks(title='airoboros-GPTQ', css=_CSS, analytics_enabled=False) as page:
            gr.Markdown('# airoboros-GPTQ\nChat with GPTQ models. Nothing to compile.')
            with gr.Row():
                with gr.Column(scale=2):
                    self._create_model_column()
                with gr.Column(scale=3):
                    self._create_chat_column()
            # The conversation as plain text; the Chatbot has a copy with code blocks.
            self._messages = gr.State([])
            self._create_model_events(page)
            self._create_chat_events()
        return page

    def _create_model_column(self) -> None:
        names = list_models(self.model_dir)
        self._model = gr.Dropdown(label='Model', choices=names, value=names[0] if names else None)
        self._checkpoint = controls.checkpoint_dropdown()
        self._kernel = controls.kernel_dropdown()
        self._format = controls.format_dropdown()
        with gr.Row():
            self._load_button = gr.Button('Load', variant='primary')
            self._unload_button = gr.Button('Unload')
        self._status = gr.Markdown('No model is loaded', elem_id='status')
        self._facts = controls.facts_box()

    def _create_chat_column(self) -> None:
        self._chatbot = gr.Chatbot(type='messages', elem_id='chat', label='Chat', show_copy_button=True)
        self._message = gr.Textbox(placeholder='Send a message', show_label=False, lines=2, elem_id='message')
        self._plainformat = controls.plainformat_box(visible=False)
        with gr.Row():
            self._send_button = gr.Button('Send', variant='primary')
            self._stop_button = gr.Button('Stop')
            self._regenerate_button = gr.Button('Regenerate')
            self._new_chat_button = gr.Button('New chat')
        self._context_helper = context_helper(self._message, visible=False)
        with gr.Accordion('Sampling', open=False):
            self._sampling = [  # in the order of _sampling()'s arguments
                gr.Slider(0, 2, SAMPLING['temperature'], step=0.05, label='temperature'),
                gr.Slider(0.05, 1, SAMPLING['top_p'], step=0.05, label='top_p'),
                gr.Slider(1, 2, SAMPLING['repetition_penalty'], step=0.05, label='repetition_penalty'),
                gr.Slider(16, 2048, 512, step=16, label='max_new_tokens'),
            ]

    def _create_model_events(self, page: gr.Blocks) -> None:
        folder = [self._model, self._checkpoint, self._format]
        picked = [self._checkpoint, self._format, self._facts]
        model_dependent = [self._plainformat, self._context_helper]
        page.load(self._on_pick, self._model, picked, show_progress='hidden')
        page.load(self._visibility, None, model_dependent, show_progress='hidden')
        self._model.change(self._on_pick, self._model, picked, show_progress='hidden')
        for menu in (self._checkpoint, self._format):
            menu.input(self._facts_html, folder, self._facts, show_progress='hidden')
        loading = [self._model, self._checkpoint, self._kernel, self._format]
        for event in (
            self._load_button.click(self._on_load, loading, self._status),
            self._unload_button.click(self._on_unload, None, self._status),
        ):
            event.then(self._facts_html, folder, self._facts, show_progress='hidden')
            event.then(self._visibility, None, model_dependent, show_progress='hidden')

    def _create_chat_events(self) -> None:
        inputs = [self._messages, self._plainformat, *self._sampling]
        outputs = [self._chatbot, self._messages, self._message]
        answering: list[Any] = [
            event(self._on_send, [self._message, *inputs], outputs, show_progress='hidden')
            for event in (self._send_button.click, self._message.submit)
        ]
        answering.append(self._regenerate_button.click(self._on_regenerate, inputs, outputs, show_progress='hidden'))
        self._stop_button.click(None, None, None, cancels=answering)
        self._new_chat_button.click(lambda: ([], []), None, [self._chatbot, self._messages], cancels=answering)

    # The model

    def _summary(self, name: str | None, checkpoint: str | None = None, format: str | None = None) -> FolderSummary:
        if not name:
            raise GPTQError('No model is picked; pick one above.')
        return self.session.summary(self.model_dir / name, checkpoint, format)

    def _on_pick(self, name: str | None) -> tuple[Any, str, str]:
        """Values of checkpoint, format and facts. A format is chosen for one folder: the next starts with auto."""
        try:
            summary = self._summary(name)
        except GPTQError as e:
            return gr.update(choices=[], value=''), 'auto', html.error_html(str(e))
        candidates = summary.candidates
        menu = gr.update(choices=candidates, value=summary.checkpoint.name, interactive=len(candidates) > 1)
        return menu, 'auto', html.facts_html(summary, self.session.running_as(summary))

    def _facts_html(self, name: str | None, checkpoint: str | None, format: str | None) -> str:
        try:
            summary = self._summary(name, checkpoint, format)
        except GPTQError as e:
            return html.error_html(str(e))
        return html.facts_html(summary, self.session.running_as(summary))

    def _visibility(self) -> tuple[Any, Any]:
        """Updates of the PLAINFORMAT box and the context helper for the loaded model."""
        knows_plainformat = plainformat_spaces(self.session) is not None
        return gr.update(visible=knows_plainformat), gr.update(visible=self.session.airoboros is not None)

    def _on_load(
        self,
        name: str | None,
        checkpoint: str | None,
        kernel: str,
        format: str | None,
        progress: Any = gr.Progress(),  # noqa: B008 (gradio fills it in by its default)
    ) -> str:
        try:
            if not name:
                raise GPTQError('No model is picked; pick one above.')
            self.session.load(
                self.model_dir / name,
                checkpoint,
                format,
                kernel=kernel,
                progress=lambda done, total: progress(done / total, desc='Loading'),
            )
        except GPTQError as e:
            return str(e)
        return f'Successfully loaded `{name}`.'

    def _on_unload(self) -> str:
        self.session.unload()
        return 'Model unloaded'

    # The chat

    def _on_send(self, text: str, messages: list[Message], plain: bool, *sampling: float) -> Iterator[tuple[Any, ...]]:
        if text.strip():
            messages = [*messages, {'role': 'user', 'content': text}]
        yield from self._answer(messages, plain, *sampling)

    def _on_regenerate(self, messages: list[Message], plain: bool, *sampling: float) -> Iterator[tuple[Any, ...]]:
        if messages and messages[-1]['role'] == 'assistant':
            messages = messages[:-1]
        yield from self._answer(messages, plain, *sampling)

    def _answer(
        self,
        messages: list[Message],
        plain: bool,
        temperature: float,
        top_p: float,
        repetition_penalty: float,
        max_new_tokens: float,
    ) -> Iterator[tuple[Any, ...]]:
        """Values of the Chatbot, the conversation and the message box, as the answer grows."""
        from ..generation.streaming import Sampling

        sampling = Sampling(temperature, top_p, repetition_penalty, int(max_new_tokens))
        try:
            for growing in answer(self.session, messages, plain, sampling):
                yield for_display(growing), growing, ''
        except GPTQError as e:
            raise gr.Error(str(e)) from e
