"""One stream as a pipeline of stages:

    Utterance --latents--> Frame --decode--> Block --verify--> Block --stretch--> Block --set_level--> Block

Each stage is a generator over the events of the previous stage. An event names its take; silence has none.
`words.timestamps` and the writers of the command line are further stages over blocks.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from itertools import groupby
from operator import itemgetter

from . import ops
from .reading.tokenizer import Tokenizer
from .schedule import Schedule
from .sound.loudness import Loudness
from .sound.stretch import Stretcher
from .synthesis import Block, Frame, Stepper, Take, Utterance
from .voices.state import VoiceState

MAX_TAKES = 4  # attempts for a chunk whose takes have faults

logger = logging.getLogger("pockettts")


def speak(
    stepper: Stepper,
    utterance: Utterance,
    tokenizer: Tokenizer,
    schedule: Schedule,
    voice_loudness: MutableMapping[VoiceState, float],
) -> Iterator[Block]:
    """All stages for one utterance.

    Args:
        stepper: runs the model.
        utterance: the text, with voice and options.
        tokenizer: maps the attention of a take to its words, for `verify`.
        schedule: decides whether the next latent is computed while the decoder works on the current one.
        voice_loudness: see `set_level`.
    """

    def blocks(utterance: Utterance) -> Iterator[Block]:
        return decode(stepper, utterance, schedule)

    checked = verify(blocks, utterance, tokenizer) if utterance.options.verify else blocks(utterance)
    stretched = stretch(checked, utterance.options.speed, stepper.sample_rate)
    return set_level(stretched, utterance, stepper.sample_rate, voice_loudness)


def latents(stepper: Stepper, utterance: Utterance) -> Iterator[Frame | Block]:
    """The frames of an utterance, and blocks of silence, in order."""
    while not utterance.finished:
        (event,) = stepper.step([utterance])
        if event is not None:
            yield event


def decode(stepper: Stepper, utterance: Utterance, schedule: Schedule) -> Iterator[Block]:
    """The blocks of an utterance: one per frame, and silence."""

    def to_block(event: Frame | Block) -> Block:
        return stepper.decode(event) if isinstance(event, Frame) else event

    try:
        for _, block in schedule.run(latents(stepper, utterance), to_block, lambda event: isinstance(event, Frame)):
            yield block
    finally:
        ops.release_threads()


def verify(
    blocks: Callable[[Utterance], Iterator[Block]], utterance: Utterance, tokenizer: Tokenizer
) -> Iterator[Block]:
    """For each chunk, the blocks of the first take without faults, or of the best of MAX_TAKES takes. A warning reports each chunk
    whose first take has faults.

    Args:
        blocks: speaks an utterance; called again for a chunk whose take has faults.
    """
    for take, group in groupby(blocks(utterance), itemgetter(0)):
        spoken = list(group)
        yield from spoken if take is None else _best_take(blocks, utterance, tokenizer, take, spoken)


def _best_take(
    blocks: Callable[[Utterance], Iterator[Block]],
    utterance: Utterance,
    tokenizer: Tokenizer,
    take: Take,
    spoken: list[Block],
) -> list[Block]:
    """The blocks of the take, or of a new take with fewer faults. spoken: the blocks of the take."""
    from .words.timestamps import take_faults

    takes = [(take_faults(take, tokenizer), spoken)]
    max_takes = MAX_TAKES if utterance.options.temperature else 1  # without noise all takes are equal
    while takes[-1][0] and len(takes) < max_takes:
        retaken = list(blocks(utterance.retake(take, len(takes))))
        assert retaken[0].take is not None
        takes.append((take_faults(retaken[0].take, tokenizer), retaken))
    faults, best = min(takes, key=lambda take: len(take[0]))
    if takes[0][0]:
        result = (
            f"the best of {len(takes)} takes is kept, in which {faults}" if faults else f"take {len(takes)} is good"
        )
        logger.warning("%.40r: %s; %s", take.chunk.text, takes[0][0], result)
    return best


def stretch(blocks: Iterable[Block], speed: float, sample_rate: int) -> Iterator[Block]:
    """Change the speed of the blocks. Each take is stretched by itself; silence keeps its length."""
    stretcher, last = Stretcher(speed, sample_rate), None
    for take, samples in blocks:
        if take is not last and len(rest := stretcher.flush()):
            yield Block(last, rest)
        last = take
        out = samples if take is None else stretcher.write(samples)
        if len(out):
            yield Block(take, out)
    if len(rest := stretcher.flush()):
        yield Block(last, rest)


def set_level(
    blocks: Iterable[Block], utterance: Utterance, sample_rate: int, known: MutableMapping[VoiceState, float]
) -> Iterator[Block]:
    """Adjust the blocks to the loudness and volume of the utterance's options. All samples of a take are yielded before the next take.

    Args:
        known: measured loudness of voices, in LUFS. The gain starts from it, and this voice's loudness is stored at the end. It is
            not used if the options have a seed, since the samples must not depend on earlier texts.
    """
    options, voice = utterance.options, utterance.voice
    if not options.changes_level:
        yield from blocks
        return
    prior = known.get(voice) if options.seed is None else None
    loudness = Loudness(options.loudness, sample_rate, options.volume, prior=prior)
    last: Take | None = None
    for take, samples in blocks:
        if take is not last and len(rest := loudness.flush()):
            yield Block(last, rest)
        last = take
        if len(out := loudness.write(samples)):
            yield Block(take, out)
    if len(rest := loudness.flush()):
        yield Block(last, rest)
    if options.loudness is not None and math.isfinite(measured := loudness.measured):
        known[voice] = measured
