"""Give CLIP's image tower random weights under which different pictures get different features.

transformers' own random start is unfit for a comparison: its biases are zero and its norms one, so that a lost or
swapped one would not show, and its photos' embeddings are alike (cosine 0.5 to 0.93). Here every parameter is drawn:
matrices with a standard deviation of `gain` / sqrt(inputs), the rest around its usual value.
"""

from typing import Any

import torch

QUERY_KEY_GAIN, GAIN = 2.0, 1.5
"""Above 1, so that attention is not a plain mean over patches and depth spreads pictures apart."""


@torch.no_grad()
def randomise(vision_model: Any, visual_projection: Any, seed: int) -> None:
    """Draw all parameters of transformers' vision model and projection, in the order of their names."""
    generator = torch.Generator().manual_seed(seed)
    for module in (vision_model, visual_projection):
        for name, parameter in sorted(module.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name or "layrnorm" in name:
                parameter.copy_(0.1 * noise + (1.0 if name.endswith("weight") else 0.0))
            elif "class_embedding" in name or "position_embedding" in name:
                parameter.copy_(0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                gain = QUERY_KEY_GAIN if "q_proj" in name or "k_proj" in name else GAIN
                parameter.copy_(noise * (gain / parameter[0].numel() ** 0.5))
