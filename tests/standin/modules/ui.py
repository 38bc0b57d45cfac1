"""The values of the page's components, passed to handlers and back."""

from modules import loaders, shared


def list_interface_input_elements():
    return ['temperature', 'history', *loaders.list_model_elements()]


def gather_interface_values(*args):
    shared.persistent_interface_state = dict(zip(list_interface_input_elements(), args, strict=False))
    return shared.persistent_interface_state


def apply_interface_values(state, use_persistent=False):
    if use_persistent:
        state = shared.persistent_interface_state
    return [state.get(key) for key in list_interface_input_elements()]
