"""lm_head gets contiguous rows: of a strided one PyTorch would copy the whole weight, transposed."""

import torch


def test_the_head_sees_one_row_as_it_sees_those_of_decoding(load_tiny):
    """Else PyTorch copies the whole weight of the head for each prompt."""
    model, _ = load_tiny()
    strides = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda module, args: strides.append(args[0].stride()))
    try:
        with torch.inference_mode():
            ids = torch.arange(3, 40)[None]
            last = model(ids, logits_to_keep=1).logits
            every = model(ids).logits
    finally:
        hook.remove()
    width = head.weight.shape[1]
    assert strides == [(width, width, 1), (37 * width, width, 1)]
    assert torch.allclose(last[:, 0], every[:, -1], atol=1e-5)
