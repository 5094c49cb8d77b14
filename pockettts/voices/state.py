"""The voice state, which is the flow LM's KV caches after a voice prompt, and its files, which the official package can read.

Files of the first release hold the embedded prompt instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config.parse import show
from ..config.schema import Config
from ..errors import VoiceError, WeightsError
from ..storage.files import cannot_write, whole_file
from ..weights.safetensors import Tensor, TensorFile, read_safetensors

_LAYER = "transformer.layers.{}.self_attn/"  # prefix of the names of a layer's tensors
_EXPORT = "make it again with `pockettts export-voice`"


@dataclass(frozen=True, eq=False)
class VoiceState:
    """The flow LM's KV caches after a voice prompt. It can be used for any number of texts, and is never changed.

    Attributes:
        layers: keys and values of all T positions for each layer, float32 [2, T, H_kv, D].
        model: the name of the model that computed it, if known.
        weights: the fingerprint of that model's flow LM, if known.
    """

    layers: list[np.ndarray]
    model: str | None = None
    weights: str | None = None

    @property
    def offset(self) -> int:
        """T, the number of positions."""
        return int(self.layers[0].shape[1])

    def save(self, path: str | Path) -> None:
        """Write the state to a .safetensors file that the official package can load. The file is written completely or not at all.

        Raises:
            VoiceError: the file can't be written, or has another extension.
        """
        if Path(path).suffix != ".safetensors":
            raise VoiceError(f"{path}: the name of a voice state must end in .safetensors")
        self.write(path)

    def write(self, path: str | Path) -> None:
        """Like `save`, but with any extension. Raises VoiceError if the file can't be written."""
        try:
            with whole_file(path) as temporary:
                temporary.write_bytes(self.to_bytes())
        except OSError as error:
            raise VoiceError(cannot_write(path, error)) from None

    def to_bytes(self, **metadata: str) -> bytes:
        """The content of the file. metadata: stored in addition to `model` and `weights`."""
        from safetensors.numpy import save

        tensors = {}
        for n, layer in enumerate(self.layers):
            tensors[_LAYER.format(n) + "cache"] = np.ascontiguousarray(layer[:, None], np.float32)
            tensors[_LAYER.format(n) + "offset"] = np.array([self.offset], np.int64)
        origin = {"model": self.model, "weights": self.weights}
        return save(tensors, {name: value for name, value in origin.items() if value} | metadata or None)


@dataclass(frozen=True, eq=False)
class PromptEmbedding:
    """A voice in the format of the first release: the embedded prompt before prefill, float32 [T, d_model]."""

    array: np.ndarray


def read_voice(path: str | Path) -> VoiceState | PromptEmbedding:
    """Read a voice's .safetensors file: a state of any release in f32, f16 or bf16, or a prompt of the first release.

    The file is not trusted. Rows beyond the offset are dropped; in official files they are NaN.

    Raises:
        VoiceError: the file does not exist, is damaged, or does not hold a voice.

    Source: `pocket_tts.models.model_state`.
    """
    try:
        tensors = read_safetensors(path)
    except WeightsError as error:
        raise VoiceError(str(error)) from None
    try:
        if "audio_prompt" in tensors:
            return PromptEmbedding(_prompt(tensors["audio_prompt"]))
        return VoiceState(_layers(tensors), tensors.metadata.get("model"), tensors.metadata.get("weights"))
    except ValueError as error:
        raise VoiceError(f"{path} is not a usable voice ({error}): {_EXPORT}") from None


def check(state: VoiceState, config: Config, weights: Callable[[], str], path: str | Path) -> None:
    """Raise VoiceError unless the state is of this model. With another model's state, even of the same shape, the speech is garbled.

    The shape must match. If the state has a fingerprint, it must be that of the model's weights, and the name is ignored, since some models
    have two. Otherwise the model name must match, if the state has one. Official files have neither fingerprint nor name.

    Args:
        weights: returns the fingerprint of the model's flow LM.
        path: the name of the state in messages.
    """
    t = config.flow_lm.transformer
    wanted = (t.num_layers, t.num_kv_heads or t.num_heads, (t.attn_dim or t.d_model) // t.num_heads)
    shape = (len(state.layers), *state.layers[0].shape[2:])
    foreign = state.model not in (None, config.name) if state.weights is None else state.weights != weights()
    if foreign:
        whose = "other weights" if state.model in (None, config.name) else f"the model {show(state.model)}"
        raise VoiceError(f"{path} is a voice of {whose}, not of {config.name}: {_EXPORT}")
    if shape != wanted:
        sizes = [f"{layers} layers of {heads} heads of {dim}" for layers, heads, dim in (shape, wanted)]
        raise VoiceError(f"{path} is of another model ({sizes[0]}; {config.name} has {sizes[1]}): {_EXPORT}")


def check_prompt(prompt: PromptEmbedding, config: Config, path: str | Path) -> np.ndarray:
    """The prompt, float32 [T, d_model]. Raises VoiceError if its width is not that of the model."""
    width, wanted = prompt.array.shape[1], config.flow_lm.transformer.d_model
    if width != wanted:
        raise VoiceError(
            f"{path} is of another model (width {width}; {config.name} has {wanted}): use a voice of {config.name}"
        )
    return prompt.array


def _prompt(tensor: Tensor) -> np.ndarray:
    if len(tensor.shape) != 3 or tensor.shape[0] != 1:
        raise ValueError(f"audio_prompt has the shape {list(tensor.shape)}, not [1, T, d_model]")
    return _values("audio_prompt", Tensor(tensor.dtype, tensor.array[0])).copy()


def _layers(tensors: TensorFile) -> list[np.ndarray]:
    """Copies of all layers' keys and values. They share one block of memory, as in `KVCache.restore`."""
    count = sum(name.endswith("/cache") for name in tensors)
    layers = [_rows(tensors, _LAYER.format(n)) for n in range(max(1, count))]
    if len({layer.shape for layer in layers}) > 1:
        raise ValueError("its layers differ in shape")
    return list(np.stack(layers))


def _rows(tensors: TensorFile, prefix: str) -> np.ndarray:
    """A layer's keys and values up to its offset, float32 [2, T, H_kv, D]; a view if the file has float32."""
    old = prefix + "current_end" in tensors  # its length is the offset
    end_name = prefix + ("current_end" if old else "offset")
    for name in (prefix + "cache", end_name):
        if name not in tensors:
            raise ValueError(f"it has no {name}")
    cache, end = tensors[prefix + "cache"], tensors[end_name]
    if len(cache.shape) != 5 or cache.shape[:2] != (2, 1):
        raise ValueError(f"{prefix}cache has the shape {list(cache.shape)}, not [2, 1, T, heads, dim]")
    if end.array.ndim != 1 or not (old or (end.dtype == "I64" and len(end.array) == 1)):
        raise ValueError(f"{end_name} is not an offset")
    offset = len(end.array) if old else int(end.array[0])
    if not 0 < offset <= cache.shape[2]:
        raise ValueError(f"{end_name} is {offset}, but there are {cache.shape[2]} rows")
    if prefix + "pad" in tensors and tensors[prefix + "pad"].array.any():
        raise ValueError("it is padded, as part of a batch")
    return _values(prefix + "cache", Tensor(cache.dtype, cache.array[:, 0, :offset]))


def _values(name: str, tensor: Tensor) -> np.ndarray:
    """The values as float32; a view if they are float32 already. Raises ValueError if it is empty or has values that are not finite."""
    if tensor.dtype not in ("F32", "F16", "BF16"):
        raise ValueError(f"{name} is of type {tensor.dtype}")
    array = tensor.float32()
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} has {'NaN or infinite numbers' if array.size else 'no numbers'}")
    return array
