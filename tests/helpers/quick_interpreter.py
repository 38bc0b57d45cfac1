"""Takes out of Triton's interpreter what it does again and again. It computes the same."""

import inspect
from dataclasses import replace
from functools import lru_cache, wraps

import triton.language as tl
from triton.runtime import interpreter


def install():
    """Its functions are private, so tests run slower, not red, where another Triton has others."""
    if hasattr(interpreter, '_patch_lang') and hasattr(interpreter, 'GridExecutor'):
        _patch_once_a_launch()
    builder = getattr(interpreter, 'interpreter_builder', None)
    if hasattr(getattr(builder, 'options', None), 'sanitize_overflow'):
        # Shapes of tests overflow no int32, and a wrapped code would show in the result: checking each sum takes longer than it.
        builder.options = replace(builder.options, sanitize_overflow=False)
    if hasattr(interpreter, '_get_np_dtype'):
        original = interpreter._get_np_dtype
        kept = lru_cache(original)
        interpreter._get_np_dtype = lambda t: kept(t) if type(t) is tl.dtype else original(t)


def _patch_once_a_launch():
    """Each call of a function within a kernel puts the interpreted operations into triton.language anew: a third of the time."""
    patch, launch, patched = interpreter._patch_lang, interpreter.GridExecutor.__call__, set()

    @lru_cache
    def languages(fn):
        return frozenset(v.__name__ for v in fn.__globals__.values() if inspect.ismodule(v) and v in (tl, tl.core))

    @wraps(patch)
    def patch_once(fn):
        if languages(fn) <= patched:
            return None  # the callee drops it
        patched.update(languages(fn))
        return patch(fn)

    @wraps(launch)
    def launch_patched(self, *args, **kwargs):
        patched.clear()
        try:
            return launch(self, *args, **kwargs)
        finally:
            patched.clear()

    interpreter._patch_lang, interpreter.GridExecutor.__call__ = patch_once, launch_patched
