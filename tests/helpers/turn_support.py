"""Generates with and without the kept caches, and sees what was computed."""

import torch
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList, StoppingCriteria

TIGHT = 1e-4  # in fp32, of logits around 10: the order of sums differs, nothing else


class Watch(LogitsProcessor):
    """Keeps the logits of each step, untouched."""

    def __init__(self):
        self.logits = []

    def __call__(self, input_ids, scores):
        self.logits.append(scores[0].clone())
        return scores


class After(StoppingCriteria):
    """Stops, or raises, when `count` tokens were made."""

    def __init__(self, count, error=None):
        self.left, self.error = count, error

    def __call__(self, input_ids, scores, **kwargs):
        self.left -= 1
        if self.left <= 0 and self.error is not None:
            raise self.error
        return self.left <= 0


class Rows:
    """Counts the rows that go into a model. Registered before anything is kept: a new hook is a changed model."""

    def __init__(self, model):
        self.seen = []
        self.model = model
        model.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, module, args, kwargs):
        ids = kwargs.get('input_ids', args[0] if args else None)
        self.seen.append(0 if ids is None else ids.shape[1])

    def of(self, ids, **settings):
        """(output ids, logits of each step, rows of the first pass) of model.generate()."""
        return self._run(self.model.generate, ids, settings)

    def afresh(self, ids, **settings):
        """The same through transformers' own generate(), which knows nothing of earlier turns."""
        return self._run(lambda **kwargs: GenerationMixin.generate(self.model, **kwargs), ids, settings)

    def _run(self, generate, ids, settings):
        self.seen.clear()
        watch = Watch()
        settings = {'max_new_tokens': 6, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0} | settings
        processors = LogitsProcessorList([*settings.pop('logits_processor', ()), watch])
        out = generate(
            inputs=ids, attention_mask=torch.ones_like(ids), logits_processor=processors, min_new_tokens=0, **settings
        )
        return out, torch.stack(watch.logits), self.seen[0]

    def check(self, ids, **settings):
        """Both, compared: (output ids, rows that were computed of the prompt)."""
        out, logits, rows = self.of(ids, **settings)
        right, right_logits, all_rows = self.afresh(ids, **settings)
        assert all_rows == ids.shape[1]
        assert torch.allclose(logits, right_logits, rtol=0, atol=TIGHT * float(right_logits.abs().max()))
        assert out.equal(right)
        return out, rows


def tokens(count, seed=None):
    """Fresh random ids [1, count] of the tiny model's vocabulary, no special ones."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randint(3, 1000, (1, count), generator=generator)
