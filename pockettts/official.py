"""The Python API of the official package, `pocket_tts`. Scripts for it run unchanged if they import from `pockettts`.

Names and arguments are those of pocket-tts 4. Samples are NumPy arrays with the torch tensor methods that scripts call on audio.
"""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np

from .errors import OptionError
from .voices.state import VoiceState

T = TypeVar("T")
Bound: TypeAlias = float | None

logger = logging.getLogger("pockettts")


class Samples(np.ndarray):
    """A NumPy array with the torch tensor methods that scripts call on audio."""

    def numpy(self) -> np.ndarray:
        return self.view(np.ndarray)

    def cpu(self) -> "Samples":
        return self

    def detach(self) -> "Samples":
        return self

    def contiguous(self) -> "Samples":
        return self

    def to(self, target: Any, *_: object, **__: object) -> "Samples":
        """A copy with another dtype if `target` is one, such as `torch.int16` or `np.int16`. A device has no effect."""
        name = str(target).removeprefix("torch.") if type(target).__module__ == "torch" else target
        try:
            dtype = np.dtype(name)
        except TypeError:  # a device
            return self
        return cast(Samples, self.astype(dtype))

    def float(self) -> "Samples":
        return self.to(np.float32)

    def clamp(self, min: Bound = None, max: Bound = None) -> "Samples":
        return cast(Samples, np.clip(self, min, max))

    def dim(self) -> int:
        return self.ndim

    def unsqueeze(self, axis: int) -> "Samples":
        return cast(Samples, np.expand_dims(self, axis))


class OfficialMethods:
    """The public methods of the official `TTSModel`, for our TTSModel, which has `load`, `get_voice_state` and `generate`."""

    device = "cpu"

    def to(self: T, device: object) -> T:
        """The model itself, with a warning if the device is not the CPU."""
        warn_of_device(device)
        return self

    @classmethod
    def load_model(
        cls: type[T],
        language: str | None = None,
        config: str | Path | None = None,
        temp: float | None = None,
        sampler_decode_steps: int = 1,
        noise_clamp: float | None = None,
        eos_threshold: float | None = None,
        quantize: bool = False,
        checkpoint: str | Path | None = None,
        lsd_decode_steps: int | None = None,
    ) -> T:
        """`TTSModel.load` with the official arguments. Raises the errors of `load`, and OptionError for a `checkpoint`."""
        if checkpoint is not None:
            raise no_checkpoint(checkpoint)
        steps = sampler_decode_steps if lsd_decode_steps is None else lsd_decode_steps
        model: Any = cls
        return cast(
            T,
            model.load(
                language,
                config=config,
                precision="int8" if quantize else None,
                temperature=temp,
                lsd_decode_steps=steps,
                noise_clamp=noise_clamp,
                eos_threshold=eos_threshold,
            ),
        )

    def get_state_for_audio_prompt(
        self, audio_conditioning: str | Path | bytes | np.ndarray | VoiceState, truncate: bool = False
    ) -> VoiceState:
        """`get_voice_state` with the official arguments. Prompts are always truncated to 30 seconds.

        Args:
            audio_conditioning: a voice name, a path, a URL, the content of a file, a voice state, or samples, float32 [samples] or
                [1, samples].
            truncate: no effect.
        """
        model: Any = self
        if isinstance(audio_conditioning, (str, Path, bytes, VoiceState)):
            return cast(VoiceState, model.get_voice_state(audio_conditioning))
        samples = np.asarray(audio_conditioning)
        mono = samples[0] if samples.ndim == 2 and len(samples) == 1 else samples
        return cast(VoiceState, model.get_voice_state(mono))

    def generate_audio(
        self,
        model_state: VoiceState,
        text_to_generate: str,
        max_tokens: int = 50,
        frames_after_eos: int | None = None,
        copy_state: bool = True,
    ) -> Samples:
        """`generate` with the official arguments: float32 [samples]. A voice state is never changed, so copy_state has no effect."""
        model: Any = self
        audio = model.generate(text_to_generate, model_state, max_tokens=max_tokens, frames_after_eos=frames_after_eos)
        return cast(Samples, audio.view(Samples))

    def generate_audio_stream(
        self,
        model_state: VoiceState,
        text_to_generate: str,
        max_tokens: int = 50,
        frames_after_eos: int | None = None,
        copy_state: bool = True,
        stop: threading.Event | None = None,
    ) -> Iterator[Samples]:
        """`generate_stream` with the official arguments: blocks of float32 [samples], until `stop` is set."""
        model: Any = self
        options = {"max_tokens": max_tokens, "frames_after_eos": frames_after_eos}
        for block in model.generate_stream(text_to_generate, model_state, **options):
            if stop is not None and stop.is_set():
                return
            yield block.view(Samples)


def export_model_state(model_state: VoiceState, dest: str | Path) -> None:
    """Write a voice state to a safetensors file with any name. Raises VoiceError if the file can't be written."""
    model_state.write(dest)


def warn_of_device(device: object) -> None:
    """Log a warning if the device is not the CPU."""
    if str(device) != "cpu":
        logger.warning("device %s: this package runs on the CPU", device)


def no_checkpoint(path: str | Path) -> OptionError:
    """The error for a training checkpoint, which only PyTorch can read."""
    return OptionError(
        f"the checkpoint {path} is a PyTorch file, which can't be read without torch: convert it to safetensors and name it as "
        "weights_path in a config"
    )
