"""GPTQ by transformers, optimum and gptqmodel."""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...util.regular_file import read_json
from ..clock import now
from .protocol import StepwiseEngine, random_prompt, serve


class TransformersEngine(StepwiseEngine):
    """Runs a copy of the folder with quantization_config in config.json and the standard file name."""

    def __init__(self, folder: Path, device: str, threads: int):
        import torch
        from transformers import AutoModelForCausalLM, DynamicCache

        torch.set_num_threads(threads)
        self._torch, self._new_cache, self._device = torch, DynamicCache, device
        with tempfile.TemporaryDirectory() as temporary:
            standard = Path(temporary)
            config = read_json(folder / 'config.json')
            quantize_config = read_json(folder / 'quantize_config.json')
            config['quantization_config'] = {'quant_method': 'gptq', **quantize_config}
            (standard / 'config.json').write_text(json.dumps(config), encoding='utf-8')
            weights = sorted(folder.glob('*.safetensors'))[0]
            (standard / 'model.safetensors').symlink_to(weights.resolve())
            self._model: Any = AutoModelForCausalLM.from_pretrained(standard, device_map=device)
        self.ids = random_prompt(config['vocab_size'], device)
        self._cache: Any = None
        self.about = {'version': f'{version("transformers")}, gptqmodel {version("gptqmodel")}', 'running': 'GPTQ'}

    def reset(self) -> None:
        self._cache = self._new_cache()

    def crop(self, length: int) -> None:
        self._cache.crop(length - self._cache.get_seq_length())

    def forward(self, ids: Any) -> Any:
        with self._torch.inference_mode():
            return self._model(ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits

    def now(self) -> float:
        if self._device.startswith('cuda'):
            self._torch.cuda.synchronize(self._device)
        return now()


if __name__ == '__main__':
    serve(TransformersEngine)
