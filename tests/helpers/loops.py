"""Our decode loop and transformers' own, with listeners that keep what they are told."""

import torch
from transformers import GenerationMixin, StoppingCriteria, StoppingCriteriaList


class Listener(StoppingCriteria):
    """Keeps all that it is told, as the webui's does; says no in its own way."""

    def __init__(self, no=False):
        self.heard, self.no = [], no

    def __call__(self, input_ids, scores, **kwargs):
        self.heard.append(input_ids[0])
        return self.no


class Streamer:
    def __init__(self):
        self.put_, self.ended = [], 0

    def put(self, value):
        self.put_.append((value.device.type, value.tolist()))

    def end(self):
        self.ended += 1


def both(model, prompt, **settings):
    """What ours and transformers' own give, with all that listeners heard."""
    settings = {'max_new_tokens': 12, 'do_sample': False, 'eos_token_id': None, 'pad_token_id': 0} | settings
    found = []
    model.gptq.prompt_cache.clear()
    for generate in (model.generate, lambda **kwargs: GenerationMixin.generate(model, **kwargs)):
        listeners = Listener(), Listener(torch.tensor([False], device=prompt.device))
        criteria = StoppingCriteriaList([*listeners, *settings.get('stopping_criteria', ())])
        streamer = Streamer()
        torch.manual_seed(5)
        out = generate(
            inputs=prompt,
            attention_mask=torch.ones_like(prompt),
            streamer=streamer,
            **{**settings, 'stopping_criteria': criteria},
        )
        heard = [[ids.tolist() for ids in listener.heard] for listener in listeners]
        found.append((out.tolist(), heard, streamer.put_, streamer.ended, torch.rand(1).item()))
    return found
