"""Rows of a batch that have something in common: it is worked out once, with the same result.

A group of rollouts shares its image, which TRL and transformers repeat for each, and rows of one
prompt share where its text and its image stand; transformers treats each row for itself
(`Qwen2_5_VLModel.get_image_features` and `get_rope_index`).
"""

from functools import wraps

import torch
from transformers import Qwen2_5_VLForConditionalGeneration

_IMAGE = 1  # of mm_token_type_ids


def share_repeats(policy: Qwen2_5_VLForConditionalGeneration) -> None:
    """Let a model work out once what rows of a batch have in common."""
    _share_positions(policy.model)
    _share_images(policy.model)


def _share_positions(model) -> None:
    """Of rows with one image each that are laid out alike; others are left to transformers."""
    get_rope_index = model.get_rope_index

    @wraps(get_rope_index)
    def shared(input_ids, mm_token_type_ids, image_grid_thw=None, attention_mask=None, **named):
        images = 0 if image_grid_thw is None else len(image_grid_thw)
        each = images == len(input_ids) and (mm_token_type_ids == _IMAGE).any(dim=1).all()
        if not each or named.get("video_grid_thw") is not None:
            return get_rope_index(
                input_ids, mm_token_type_ids, image_grid_thw,
                attention_mask=attention_mask, **named,
            )  # fmt: skip
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        rows = torch.cat([mm_token_type_ids, mask, image_grid_thw], dim=1)
        layouts, which = rows.unique(dim=0, return_inverse=True)
        types, mask, grids = layouts.split([len(mm_token_type_ids[0]), len(mask[0]), 3], dim=1)
        positions, deltas = get_rope_index(
            input_ids[: len(layouts)], types, grids, attention_mask=mask
        )
        return positions[:, which], deltas[which]

    model.get_rope_index = shared


def _share_images(model) -> None:
    """While the vision tower learns nothing: each image goes through it once.

    It also records no gradients then. With inputs that are made to require them, as for adapters,
    a frozen tower would keep the whole graph of what nothing is learned from.
    """
    get_image_features = model.get_image_features

    @wraps(get_image_features)
    def shared(pixel_values, image_grid_thw, **named):
        learns = any(parameter.requires_grad for parameter in model.visual.parameters())
        if learns and torch.is_grad_enabled():
            return get_image_features(pixel_values, image_grid_thw, **named)
        images = pixel_values.split(image_grid_thw.prod(-1).tolist())
        shapes = map(tuple, image_grid_thw.tolist())  # patches alike may be laid out otherwise
        places: dict[tuple, int] = {}
        which = [
            places.setdefault((shape, _content(image)), len(places))
            for shape, image in zip(shapes, images, strict=True)
        ]
        first = [which.index(place) for place in range(len(places))]
        with torch.no_grad():
            found = get_image_features(
                torch.cat([images[index] for index in first]), image_grid_thw[first], **named
            )
        found.pooler_output = tuple(found.pooler_output[place] for place in which)
        return found

    model.get_image_features = shared


def _content(image: torch.Tensor) -> bytes:
    return image.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes()
