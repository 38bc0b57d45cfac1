"""The Session tab: which extensions are ticked, and the restart that applies it."""

from modules import shared


def set_interface_arguments(extensions, bool_active):
    shared.args.extensions = extensions
    shared.need_restart = True
