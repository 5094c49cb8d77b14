"""The options of speech: their names, their limits, and what they are when nobody asks.

The command line, `TTSModel` and HTTP all take them from here.
"""

from dataclasses import dataclass, fields, replace
from numbers import Real

from .errors import OptionError


@dataclass(frozen=True)
class Number:
    """An option that is a number: `kind` is int or float, `least` and `most` are allowed."""

    name: str
    kind: type
    least: float
    most: float
    about: str

    @property
    def range(self) -> str:
        return f"a {'whole ' * (self.kind is int)}number from {self.least} to {self.most}"

    def check(self, value: float) -> float:
        """The value as `kind`. Raises OptionError if it is none, or outside the limits."""
        if isinstance(value, Real) and not isinstance(value, bool) and self.least <= value <= self.most:  # NaN is not
            number = self.kind(value)
            if number == value or self.kind is float:
                return number
        raise OptionError(f"{self.name} {value!r:.20}: give {self.range}")


NUMBERS = {number.name: number for number in (
    Number("temperature", float, 0, 10, "how much the speech varies; 0 is always the same (default: the model's)"),
    Number("lsd_decode_steps", int, 1, 1000, "steps of the sampler for each frame (default: 1)"),
    Number("eos_threshold", float, -(10**9), 10**9, "the higher, the later the speech ends (default: the model's)"),
    Number("noise_clamp", float, 1e-6, 10**6, "the largest noise for the sampler (default: no limit)"),
    Number("frames_after_eos", int, 0, 1000, "frames of 80 ms to keep after the end (default: 3 to 5, by length)"),
    Number("max_tokens", int, 1, 10_000, "of the chunks in which a text is spoken (default: 50)"),
    Number("gap", float, 0, 60, "seconds of silence between chunks, or more where the text has a pause (default: 0)"),
    Number("speed", float, 0.25, 4, "how fast to speak, at the same pitch; pauses stay as they are (default: 1)"),
    Number("loudness", float, -70, -5, "LUFS to bring the speech to, such as -16, without clipping (default: as it comes)"),
    Number("volume", float, 0, 10, "a factor for the samples, limited so that nothing clips (default: 1)"),
    Number("seed", int, 0, 2**64 - 1, "the same seed gives the same sound (default: random)"),
    Number("threads", int, 1, 1024, "cores to use (default: all, at most 8)"),
)}  # fmt: skip


PRECISIONS = ("bf16", "f32", "int8")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a text is spoken. A model has its own (`TTSModel.options`); for one text, `replace` changes some.

    Raises OptionError for a number outside its limits.
    """

    temperature: float  # variance of the noise that latents are sampled from; 0 always says it the same way
    eos_threshold: float  # the EOS logit above which speech ends
    lsd_decode_steps: int = 1  # of the sampler for each latent
    noise_clamp: float | None = None  # largest absolute value of the noise; None: no limit
    frames_after_eos: int | None = None  # to keep after the model says it is done; None: 3 to 5, by length
    max_tokens: int = 50  # of a chunk; the models are trained on single sentences
    gap: float = 0.0  # seconds of silence between chunks
    speed: float = 1.0  # 2 is twice as fast, at the same pitch
    loudness: float | None = None  # integrated, in LUFS; None: as the model speaks
    volume: float = 1.0  # a factor on top of that; peaks are limited
    seed: int | None = None  # the same seed, text, voice and options give the same samples; None: a new one each time
    verify: bool = False  # speak a chunk again where words were left out or said twice, or it ran to the length limit

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in NUMBERS and (value is not None or field.default is not None):
                object.__setattr__(self, field.name, NUMBERS[field.name].check(value))

    @property
    def is_levelled(self) -> bool:
        """Whether the sound needs another level than the model gives it."""
        return self.loudness is not None or self.volume != 1

    def unlevelled(self) -> "Options":
        """The same, but with the sound as the model makes it: for callers that level the whole of it afterwards."""
        return replace(self, loudness=None, volume=1.0)

    def replace(self, **options: float | None) -> "Options":
        """The same but for these; None leaves an option as it is."""
        return replace(self, **{name: value for name, value in options.items() if value is not None})
