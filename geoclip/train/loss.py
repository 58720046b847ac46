"""The loss of GeoCLIP (arXiv 2309.16020, equation 2): each photo against all places of the batch and the queue."""

import torch
from torch import Tensor
from torch.nn import functional as F


def contrastive_loss(photos: Tensor, places: Tensor, logit_scale: Tensor, same_place: Tensor) -> Tensor:
    """Return the mean cross entropy of photos choosing their own place.

    Args:
        photos: (B, D) unit vectors; never computed below float32, whatever autocast says.
        places: (M, D) unit vectors, M >= B: row i belongs to photo i, those from B on are the queue's.
        logit_scale: scalar, the logarithm of tau.
        same_place: (B, M) bool: places that are photo i's own. Apart from its own row they are no negatives: several
            photos of a place in one batch, and a photo that comes back while the queue still holds it.

    Returns:
        A scalar; 0 where B is 0. Vectors that say nothing have a loss of log(M) at most.
    """
    with torch.autocast(photos.device.type, enabled=False):
        logits = logit_scale.exp() * (photos @ places.t())
        own = torch.eye(len(photos), len(places), dtype=torch.bool, device=photos.device)
        logits = logits.masked_fill(same_place & ~own, -torch.inf)
        own_rows = torch.arange(len(photos), device=photos.device)
        return F.cross_entropy(logits, own_rows, reduction="sum") / max(len(photos), 1)
