"""The parts of a model that read pictures, sound or video, which are not loaded."""

from __future__ import annotations

from torch import nn

from ..util.types import TransformersModel


class Unloaded(nn.Module):
    """Stands where a part of the model is not loaded, and says so when it is called."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.part = name

    def forward(self, *args: object, **kwargs: object) -> None:
        """Raises RuntimeError."""
        raise RuntimeError(
            f'The part {self.part} of this model is not loaded: airoboros-GPTQ runs the language half alone; give it text.'
        )


def remove_vision(model: TransformersModel) -> bool:
    """Takes all that is neither the language model nor its lm_head out of a model that also sees, in place; whether there was
    anything.
    """
    if model.config.get_text_config(decoder=True) is model.config:
        return False
    kept = [m for m in (_decoder(model), model.get_output_embeddings(), model.get_input_embeddings()) if m is not None]
    return _remove_beside(model, '', kept)


def _decoder(model: TransformersModel) -> nn.Module:
    decoder: nn.Module = model.get_decoder()
    return getattr(decoder, 'language_model', decoder)


def _remove_beside(module: nn.Module, path: str, kept: list[nn.Module]) -> bool:
    """Removes the modules below `module` that have parameters and hold none of `kept`."""
    removed = False
    for name, child in module.named_children():
        at = f'{path}.{name}' if path else name
        if any(child is k for k in kept):
            continue
        if any(k is inner for inner in child.modules() for k in kept):
            removed |= _remove_beside(child, at, kept)
        elif next(child.parameters(), None) is not None:
            setattr(module, name, Unloaded(at))
            removed = True
    return removed
