"""The voice state: what the flow LM remembers after a voice prompt; and its files, shared with the official package.

The first release of the model kept the embedded prompt instead.
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

_LAYER = "transformer.layers.{}.self_attn/"


_EXPORT = "make it again with `pockettts export-voice`"


@dataclass(frozen=True, eq=False)
class VoiceState:
    """The flow LM's KV caches after a voice prompt. It serves any number of texts, and is never changed.

    layers: for each layer keys and values of all T positions, float32 [2, T, H_kv, D].
    model, weights: the name of the model that made it, and the identity of its flow LM's weights, if known.
    """

    layers: list[np.ndarray]
    model: str | None = None
    weights: str | None = None

    @property
    def offset(self) -> int:
        """T: how many positions there are."""
        return int(self.layers[0].shape[1])

    def save(self, path: str | Path) -> None:
        """Write the state to a .safetensors file that the official package loads, whole or not at all.

        Raises:
            VoiceError: the file can't be written, or has another extension.
        """
        if Path(path).suffix != ".safetensors":
            raise VoiceError(f"{path} would not be known as a voice state: let its name end in .safetensors")
        self.write(path)

    def write(self, path: str | Path) -> None:
        """`save` under any name. Raises VoiceError if the file can't be written."""
        try:
            with whole_file(path) as temporary:
                temporary.write_bytes(self.to_bytes())
        except OSError as error:
            raise VoiceError(cannot_write(path, error)) from None

    def to_bytes(self, **metadata: str) -> bytes:
        """The content of such a file; metadata are what it says of itself beside who made it."""
        from safetensors.numpy import save

        tensors = {}
        for n, layer in enumerate(self.layers):
            tensors[_LAYER.format(n) + "cache"] = np.ascontiguousarray(layer[:, None], np.float32)
            tensors[_LAYER.format(n) + "offset"] = np.array([self.offset], np.int64)
        made_by = {"model": self.model, "weights": self.weights}
        return save(tensors, {name: value for name, value in made_by.items() if value} | metadata or None)


@dataclass(frozen=True, eq=False)
class PromptEmbedding:
    """A voice as the first release kept it: the prompt, embedded but not yet heard, float32 [T, d_model]."""

    array: np.ndarray


def read_voice(path: str | Path) -> VoiceState | PromptEmbedding:
    """Read a .safetensors file of a voice: a state of any release in f32, f16 or bf16, or a prompt of the first.

    The file is not trusted. Rows beyond the offset are dropped; in official files they are NaN.

    Raises:
        VoiceError: no such file, one that is damaged, or that holds no voice.

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
        raise VoiceError(f"{path} holds no voice that can be used ({error}): {_EXPORT}") from None


def check(state: VoiceState, config: Config, weights: Callable[[], str], path: str | Path) -> None:
    """Raise VoiceError unless a state is of this model; another model's, even of the same shape, makes it babble.

    weights: gives the identity of the model's. Where a file knows that of its own, it decides, for some models are the same under
    two names. Older files know a name, official ones neither: there the shape decides.
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
    """The prompt, float32 [T, d_model]. Raises VoiceError unless it is as wide as the model."""
    width, wanted = prompt.array.shape[1], config.flow_lm.transformer.d_model
    if width != wanted:
        raise VoiceError(f"{path} is of another model ({width} wide; {config.name} is {wanted}): take one of its own")
    return prompt.array


def _prompt(tensor: Tensor) -> np.ndarray:
    if len(tensor.shape) != 3 or tensor.shape[0] != 1:
        raise ValueError(f"audio_prompt has the shape {list(tensor.shape)}, not [1, T, d_model]")
    return _values("audio_prompt", Tensor(tensor.dtype, tensor.array[0])).copy()


def _layers(tensors: TensorFile) -> list[np.ndarray]:
    """Copies, which share a block of memory as in `KVCache.restore`."""
    count = sum(name.endswith("/cache") for name in tensors)
    layers = [_rows(tensors, _LAYER.format(n)) for n in range(max(1, count))]
    if len({layer.shape for layer in layers}) > 1:
        raise ValueError("its layers differ in shape")
    return list(np.stack(layers))


def _rows(tensors: TensorFile, prefix: str) -> np.ndarray:
    """A layer's keys and values, float32 [2, T, H_kv, D], up to its offset; a view, if the file has float32."""
    old = prefix + "current_end" in tensors  # its length is the offset
    end_name = prefix + ("current_end" if old else "offset")
    for name in (prefix + "cache", end_name):
        if name not in tensors:
            raise ValueError(f"it has no {name}")
    cache, end = tensors[prefix + "cache"], tensors[end_name]
    if len(cache.shape) != 5 or cache.shape[:2] != (2, 1):
        raise ValueError(f"{prefix}cache has the shape {list(cache.shape)}, not [2, 1, T, heads, dim]")
    if end.array.ndim != 1 or not (old or (end.dtype == "I64" and len(end.array) == 1)):
        raise ValueError(f"{end_name} is no offset")
    offset = len(end.array) if old else int(end.array[0])
    if not 0 < offset <= cache.shape[2]:
        raise ValueError(f"{end_name} is {offset}, but there are {cache.shape[2]} rows")
    if prefix + "pad" in tensors and tensors[prefix + "pad"].array.any():
        raise ValueError("it is one of a batch, padded")
    return _values(prefix + "cache", Tensor(cache.dtype, cache.array[:, 0, :offset]))


def _values(name: str, tensor: Tensor) -> np.ndarray:
    """What must be finite numbers, one at least, as float32; a view, if they are that."""
    if tensor.dtype not in ("F32", "F16", "BF16"):
        raise ValueError(f"{name} is of type {tensor.dtype}")
    array = tensor.float32()
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name} has {'NaN or infinite numbers' if array.size else 'no numbers'}")
    return array
