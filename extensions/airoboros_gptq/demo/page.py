"""The demo page: chat and examples, and the models beside them; on a phone the models stand below the chat."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..errors import GPTQError
from ..session import ModelSession
from ..ui import controls, html
from ..ui.context_helper import context_helper
from . import examples, look
from .chat import Message, answer, find_models, for_display, plainformat_spaces
from .loader import LoadRequest, ModelLoader

if TYPE_CHECKING:
    from ..preflight.folder_summary import FolderSummary

log = logging.getLogger('airoboros_gptq')

_REFRESH_S = 0.5  # how often a page asks what is loaded


class DemoPage:
    """The page for the model folders in `model_dirs`. All browsers share the one loaded model."""

    def __init__(self, model_dirs: Sequence[Path]):
        self.model_dirs = list(model_dirs)
        self.session = ModelSession()
        self.loader = ModelLoader(self.session)

    def load(self, name: str) -> None:
        """Begins to load a model."""
        self.loader.start(LoadRequest(find_models(self.model_dirs)[name]))

    # Layout

    def build(self) -> gr.Blocks:
        with gr.Blocks(title='airoboros-GPTQ', css=look.CSS, theme=look.THEME, analytics_enabled=False) as page:
            gr.HTML(look.HEADING)
            with gr.Row():
                with gr.Column(scale=3):
                    self._create_chat_column()
                with gr.Column(scale=2):
                    self._create_model_column()
            # The conversation as plain text; the Chatbot has a copy with code blocks.
            self._messages = gr.State([])
            self._version = gr.State(-1)  # of the LoadState that this page shows
            self._loads = gr.State(-1)  # of the load that its menus show
            self._create_model_events(page)
            self._create_chat_events()
        return page

    def _create_chat_column(self) -> None:
        self._status = gr.HTML('', elem_id='status')
        self._chatbot = gr.Chatbot(
            type='messages',
            elem_id='chat',
            label='Chat',
            show_label=False,
            height=None,
            show_copy_button=True,
            placeholder='Ask something, or click on a question below.',
        )
        self._error = gr.HTML('', elem_id='chat-error')
        with gr.Row(elem_id='examples'):
            self._examples = [gr.Button(visible=False, size='sm') for _ in range(examples.MAX_EXAMPLES)]
        # One line that grows: so Enter sends, and Shift+Enter begins a line.
        self._message = gr.Textbox(
            placeholder='Send a message',
            show_label=False,
            lines=1,
            max_lines=10,
            elem_id='message',
            autofocus=True,
        )
        self._plainformat = controls.plainformat_box(visible=False)
        with gr.Row(elem_id='chat-buttons'):
            self._send_button = gr.Button('Send', variant='primary', min_width=80)
            self._stop_button = gr.Button('Stop', min_width=80)
            self._regenerate_button = gr.Button('Regenerate', min_width=80)
            self._new_chat_button = gr.Button('New chat', min_width=80)
        self._context_helper = context_helper(self._message, visible=False)
        with gr.Accordion('Sampling', open=False):
            self._sampling = [look.sampling_slider(name) for name in examples.RANGES]
            self._max_new_tokens = look.slider('max_new_tokens', 16, 2048, 512, step=16)

    def _create_model_column(self) -> None:
        self._model = gr.Dropdown(label='Model', choices=[], value=None, elem_id='model')
        self._checkpoint = controls.checkpoint_dropdown(elem_id='checkpoint')
        self._kernel = controls.kernel_dropdown()
        self._format = controls.format_dropdown()
        with gr.Row():
            self._load_button = gr.Button('Load', variant='primary', min_width=80)
            self._unload_button = gr.Button('Unload', min_width=80)
        self._facts = controls.facts_box()

    def _create_model_events(self, page: gr.Blocks) -> None:
        folder = [self._model, self._checkpoint, self._format]
        self._model.input(
            self._on_pick, self._model, [self._checkpoint, self._format, self._facts], show_progress='hidden'
        )
        for menu in (self._checkpoint, self._format):
            menu.input(self._facts_html, folder, self._facts, show_progress='hidden')
        shown = [self._version, self._status]
        self._load_button.click(self._on_load, [*folder, self._kernel], [*shown, self._facts], show_progress='hidden')
        self._unload_button.click(self._on_unload, None, shown, show_progress='hidden')
        page.load(self._refresh, None, shown, show_progress='hidden')
        gr.Timer(_REFRESH_S).tick(self._refresh, None, shown, show_progress='hidden')
        menus = [self._loads, self._model, self._checkpoint, self._kernel, self._format, self._facts]
        buttons = [self._load_button, self._unload_button, self._plainformat, self._context_helper, *self._examples]
        self._version.change(
            self._show_state, [self._loads, *folder], [*menus, *buttons, *self._sampling], show_progress='hidden'
        )

    def _create_chat_events(self) -> None:
        inputs = [self._messages, self._plainformat, *self._sampling, self._max_new_tokens]
        outputs = [self._chatbot, self._messages, self._message, self._error]
        answering: list[Any] = [
            event(self._on_send, [self._message, *inputs], outputs, show_progress='hidden')
            for event in (self._send_button.click, self._message.submit)
        ]
        for button in self._examples:
            chosen = button.click(self._on_example, button, [self._message, self._plainformat], show_progress='hidden')
            answering.append(chosen.then(self._on_send, [self._message, *inputs], outputs, show_progress='hidden'))
        answering.append(self._regenerate_button.click(self._on_regenerate, inputs, outputs, show_progress='hidden'))
        self._stop_button.click(None, None, None, cancels=answering)
        self._new_chat_button.click(
            lambda: ([], [], ''), None, [self._chatbot, self._messages, self._error], cancels=answering
        )

    # The model

    def _summary(self, name: str | None, checkpoint: str | None = None, format: str | None = None) -> FolderSummary:
        return self.session.summary(self._folder(name), checkpoint, format)

    def _folder(self, name: str | None) -> Path:
        if not name:
            raise GPTQError('No model is picked; pick one above.')
        models = find_models(self.model_dirs)
        if name not in models:
            raise GPTQError(f'The model {name} is gone; reload the page to see those that are there.')
        return models[name]

    def _on_pick(self, name: str | None) -> tuple[Any, str, str]:
        """Values of checkpoint, format and facts. A format is chosen for one folder: the next starts with auto."""
        try:
            summary = self._summary(name)
        except GPTQError as e:
            return gr.update(choices=[], value=''), 'auto', html.error_html(str(e))
        return self._checkpoint_menu(summary), 'auto', html.facts_html(summary, self.session.running_as(summary))

    @staticmethod
    def _checkpoint_menu(summary: FolderSummary) -> Any:
        several = len(summary.candidates) > 1
        return gr.update(choices=summary.candidates, value=summary.checkpoint.name, interactive=several)

    def _facts_html(self, name: str | None, checkpoint: str | None, format: str | None) -> str:
        try:
            summary = self._summary(name, checkpoint, format)
        except GPTQError as e:
            return html.error_html(str(e))
        return html.facts_html(summary, self.session.running_as(summary))

    def _on_load(
        self, name: str | None, checkpoint: str | None, format: str | None, kernel: str
    ) -> tuple[Any, Any, Any]:
        try:
            self.loader.start(LoadRequest(self._folder(name), checkpoint or '', format or 'auto', kernel))
        except GPTQError as e:
            return gr.skip(), gr.skip(), html.error_html(str(e))
        return *self._refresh(), gr.skip()

    def _on_unload(self) -> tuple[int, str]:
        self.loader.unload()
        return self._refresh()

    def _refresh(self) -> tuple[int, str]:
        """The version of what is loaded, a change of which has the page show it, and the status line."""
        state = self.loader.state
        return state.version, look.status_html(self.loader)

    def _show_state(self, shown: int, name: str | None, checkpoint: str | None, format: str | None) -> list[Any]:
        """Updates of all that hangs on the model: menus, facts, buttons, examples and sampling. It is what a page shows
        that is opened, reloaded, or stands in another tab. `shown` is the load that its menus show: they follow when one
        begins, and leave alone what somebody picked since.
        """
        state, loaded = self.loader.state, self.loader.loaded
        if shown == state.loads:
            menus = [gr.skip()] * 5 + [self._facts_html(name, checkpoint, format)]
        else:
            menus = [state.loads, *self._menus(state.request)]
        questions: Sequence[examples.Example] = ()
        sampling: Any = examples.SAMPLING
        if loaded is not None:
            questions = examples.examples_for(loaded.folder, self.session.airoboros)
            sampling = examples.sampling_for(loaded.folder, self.session.airoboros)
        labels = [e.label for e in questions]
        return [
            *menus,
            gr.update(interactive=not state.loading),
            gr.update(interactive=loaded is not None and not state.loading),
            gr.update(visible=plainformat_spaces(self.session) is not None),
            gr.update(visible=self.session.airoboros is not None),
            *(gr.update(visible=True, value=label) for label in labels),
            *(gr.update(visible=False) for _ in range(examples.MAX_EXAMPLES - len(labels))),
            *(sampling[name] for name in examples.RANGES),
        ]

    def _menus(self, request: LoadRequest | None) -> list[Any]:
        """Values of model, checkpoint, kernel, format and facts: of a load, or of the first model before any."""
        try:
            models = find_models(self.model_dirs)
        except GPTQError as e:
            return [gr.update(choices=[], value=None), gr.skip(), 'auto', 'auto', html.error_html(str(e))]
        request = request or LoadRequest(next(iter(models.values())))
        name = request.folder.name
        menu, _, facts = self._on_pick(name)
        if request.checkpoint:
            menu = {**menu, 'value': request.checkpoint}
            facts = self._facts_html(name, request.checkpoint, request.format)
        return [gr.update(choices=list(models), value=name), menu, request.kernel, request.format, facts]

    # The chat

    def _on_example(self, label: str) -> tuple[str, bool]:
        """Values of the message box and of the PLAINFORMAT box."""
        return examples.parse_label(label)

    def _on_send(self, text: str, messages: list[Message], plain: bool, *sampling: float) -> Iterator[tuple[Any, ...]]:
        if not text.strip():
            return
        if self.loader.loaded is None and not self.loader.state.loading:
            yield gr.skip(), gr.skip(), gr.skip(), html.error_html('No model is loaded; pick one and press Load.')
            return
        messages = [*messages, {'role': 'user', 'content': text}]
        yield for_display(messages), messages, '', ''
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
        """Values of the Chatbot, the conversation, the message box and the error, as the answer grows. It waits for a model
        that is being loaded.
        """
        from ..generation.streaming import Sampling

        while not self.loader.wait(0.2):
            yield gr.skip(), gr.skip(), gr.skip(), ''  # lets Stop end it
        error = ''
        try:
            # floats: a slider gives 1 for 1.0, which transformers refuses as a temperature
            sampling = Sampling(float(temperature), float(top_p), float(repetition_penalty), int(max_new_tokens))
            for growing in answer(self.session, messages, plain, sampling):
                yield for_display(growing), growing, gr.skip(), ''
        except GPTQError as e:
            error = str(e)
        except Exception as e:  # a full memory, a driver: the page says so, and the terminal says where
            log.exception('the answer ended early')
            error = f'The answer ended early ({type(e).__name__}: {e}); the terminal says more.'
        if error:
            yield gr.skip(), gr.skip(), gr.skip(), html.error_html(error)
