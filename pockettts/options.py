"""The options of speech: names, limits and defaults. The command line, `TTSModel` and the HTTP API all use these."""

from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

from .errors import OptionError


@dataclass(frozen=True)
class Number:
    """A numeric option: `kind` is int or float, `minimum` and `maximum` its limits, `about` is its help text."""

    name: str
    kind: type[int] | type[float]
    minimum: float
    maximum: float
    about: str

    @property
    def range(self) -> str:
        return f"a {'whole ' * (self.kind is int)}number from {self.minimum} to {self.maximum}"

    def check(self, value: float) -> float:
        """The value as `kind`. Raises OptionError if it is not a number, or outside the limits."""
        if isinstance(value, Real) and not isinstance(value, bool) and self.minimum <= value <= self.maximum:  # not NaN
            number = self.kind(value)
            if number == value or self.kind is float:
                return number
        raise OptionError(f"{self.name} {value!r:.20}: give {self.range}")


NUMBERS = {number.name: number for number in (
    Number("temperature", float, 0, 10, "how much the speech varies; 0 is always the same (default: the model's)"),
    Number("lsd_decode_steps", int, 1, 1000, "steps of the sampler for each frame (default: 1)"),
    Number("eos_threshold", float, -(10**9), 10**9, "a higher one ends the speech later (default: the model's)"),
    Number("noise_clamp", float, 1e-6, 10**6, "largest absolute value of the sampler's noise (default: no limit)"),
    Number("frames_after_eos", int, 0, 1000, "frames of 80 ms to keep after the end (default: 3 to 5, by text length)"),
    Number("max_tokens", int, 1, 10_000, "largest number of tokens in a chunk of text (default: 50)"),
    Number("gap", float, 0, 60, "seconds of silence between chunks; a longer pause in the text stays (default: 0)"),
    Number("speed", float, 0.25, 4, "2 is twice as fast, at the same pitch; pauses keep their length (default: 1)"),
    Number("loudness", float, -70, -5, "target in LUFS, such as -16; peaks are limited (default: no change)"),
    Number("volume", float, 0, 10, "factor for the samples; peaks are limited (default: 1)"),
    Number("seed", int, 0, 2**64 - 1, "the same seed gives the same samples (default: random)"),
    Number("threads", int, 1, 1024, "number of threads (default: all physical cores, at most 8)"),
)}  # fmt: skip


EMOJI = ("drop", "read")
PRECISIONS = ("bf16", "f32", "int8")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to speak a text. A model has defaults (`TTSModel.options`); `replace` changes some of them for one text.

    Raises:
        OptionError: an option is outside its limits, or not one of its choices.
    """

    temperature: float  # variance of the noise that latents are sampled from; at 0 the speech is always the same
    eos_threshold: float  # the EOS logit above which speech ends
    lsd_decode_steps: int = 1  # sampler steps for each latent
    noise_clamp: float | None = None  # largest absolute value of the noise; None: no limit
    frames_after_eos: int | None = None  # frames to keep after the EOS; None: 3 to 5, by length
    max_tokens: int = 50  # largest number of tokens in a chunk; the models are trained on single sentences
    gap: float = 0.0  # seconds of silence between chunks
    speed: float = 1.0  # 2 is twice as fast, at the same pitch
    loudness: float | None = None  # target integrated loudness in LUFS; None: as the model speaks
    volume: float = 1.0  # an additional factor; peaks are limited
    seed: int | None = None  # the same seed, text, voice and options give the same samples; None: a new one each time
    verbatim: bool = False  # read the text as the official package does: no normalization, pauses or lexicon
    lexicon: str | None = None  # path of a pronunciation list; None: the user's own, if there is one; "": none
    emoji: str = "drop"  # "read": speak their Unicode names
    verify: bool = False  # speak a chunk again if words were left out or repeated, or it reached the length limit

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in NUMBERS and (value is not None or field.default is not None):
                object.__setattr__(self, field.name, NUMBERS[field.name].check(value))
        if self.emoji not in EMOJI:
            raise OptionError(f"emoji {self.emoji!r:.20}: choose one of {', '.join(EMOJI)}")

    @property
    def changes_level(self) -> bool:
        """Whether these options change the level of the model's sound."""
        return self.loudness is not None or self.volume != 1

    def without_level(self) -> "Options":
        """A copy that does not change the level: the caller sets the level of the whole sound."""
        return replace(self, loudness=None, volume=1.0)

    def replace(self, **options: Any) -> "Options":
        """A copy with these options changed; None keeps an option."""
        changes: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        return replace(self, **changes)
