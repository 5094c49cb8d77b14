"""Read checkpoints of the training code, and rename their tensors to the official names. Flow LM and Mimi are in two files.

Source: pocket_tts.utils.weights_loading of the official package.
"""

import re
from pathlib import Path

import numpy as np

from ..errors import WeightsError
from .safetensors import Tensor, read_safetensors

_FLOW_LM_NAMES = {
    "condition_provider.conditioners.transcript_in_segment.embed.weight": "conditioner.embed.weight",
    "condition_provider.conditioners.speaker_wavs.output_proj.weight": "speaker_proj_weight",
    "fuser.padding_value": "bos_before_voice",
}
_FLOW_LM_SKIPPED = re.compile(
    r"flow\.w_s_t\.|num_ema_updates$|condition_provider\.conditioners\.(transcript_in_segment|speaker_wavs)\.learnt_padding$"
)
_MIMI_SKIPPED = re.compile(
    r"model\.quantizer\.vq\.|(model\.)?quantizer\.logvar_proj\.weight$|quantizer\.logvar_param$|.*_codebook|.*wavlm_emb_downsample|"
    r"wavlm_input_resample\.kernel$|wavlm_proj\.weight$"
)


def read_flow_lm(path: str | Path) -> dict[str, Tensor]:
    """The flow LM of a file with training names, as official names `flow_lm.*`. Raises WeightsError."""
    return {
        "flow_lm."
        + _FLOW_LM_NAMES.get(name, name.replace(".self_attn.in_proj_weight", ".self_attn.in_proj.weight")): tensor
        for name, tensor in read_safetensors(path).items()
        if not _FLOW_LM_SKIPPED.match(name)
    }


def read_mimi(path: str | Path) -> dict[str, Tensor]:
    """Mimi from a file with training names or from an official single file, as official names `mimi.*`. Raises WeightsError."""
    tensors = read_safetensors(path)
    if any(name.startswith("mimi.") for name in tensors):
        return {name: tensor for name, tensor in tensors.items() if name.startswith("mimi.")}
    renamed = {}
    for name, tensor in tensors.items():
        if _MIMI_SKIPPED.match(name) or name.endswith(".weight_v"):
            continue
        if name.endswith(".weight_g"):
            name = name.removesuffix("_g")
            if name + "_v" not in tensors:
                raise WeightsError(f"{path} has {name + '_g'!r} but no {name + '_v'!r}: get the whole file")
            tensor = _weight_norm(tensors[name + "_v"], tensor)
        name = name.removeprefix("model.").replace(".conv.conv.", ".conv.").replace(".convtr.convtr.", ".convtr.")
        renamed["mimi." + name.replace("in_proj_weight", "in_proj.weight")] = tensor
    return renamed


def _weight_norm(v: Tensor, g: Tensor) -> Tensor:
    """g * v / |v|, with the norm over all axes but the first (arXiv 1602.07868)."""
    direction = v.float32()
    norm = np.sqrt(np.sum(direction * direction, axis=tuple(range(1, direction.ndim)), keepdims=True))
    return Tensor("F32", direction * (g.float32() / norm))
