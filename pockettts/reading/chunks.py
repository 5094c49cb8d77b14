"""Text in the form the model was trained on: normalized, and split into chunks of one or a few sentences.

Without a `Normalizer`, the chunks are those of the official package (`pocket_tts.models.text_chunking`). Unlike there, a chunk is the
original text of its tokens, not the decoded ids, so characters that the tokenizer does not know are kept.

With a `Normalizer`, written forms become words (normalize.py), pauses are separate (pauses.py), sentences end by the rules of the
language (sentences.py), and parts without letters or digits are left out, because the model speaks noise for them.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import TextError
from .normalize import Normalized, Normalizer, as_written, clean_text, count_letters
from .pauses import PAUSE, Pause, split_at_pauses
from .sentences import clause_ends, sentence_ends, split_at
from .tokenizer import SPACE, Tokenizer

logger = logging.getLogger(__name__)

STOPS = ".!?\u2026"  # end a sentence
PAUSES = ",;:-\u2013\u2014"  # may not end a text
CLOSERS = "\"'\u201d\u2019)]\u00bb"  # may follow a stop

LINE_BREAKS = str.maketrans("\r\n", "  ")
PAUSE_AFTER_STOP = re.compile(r"(?<=[.!?\u2026])\s*[,;:]")
SHORT = 5  # texts of fewer words get more frames after EOS and, where the model asks for it, padding
PADDING = " " * 8
MAX_TOKENS_AT_ONCE = (
    1000  # maximum tokens per chunk: with more, the speech is garbled and the KV cache fills the memory
)
DIGIT_REACH = 5  # tokens that always contain a mark and the next character, which may take four byte tokens


class TextRules(Protocol):
    """The fields of a Config that this module uses."""

    @property
    def pad_with_spaces_for_short_inputs(self) -> bool: ...
    @property
    def remove_semicolons(self) -> bool: ...
    @property
    def append_terminal_punctuation(self) -> bool: ...
    @property
    def capitalize_first_letter(self) -> bool: ...
    @property
    def replace_characters(self) -> Mapping[str, str] | None: ...
    @property
    def model_recommended_frames_after_eos(self) -> int | None: ...


@dataclass(frozen=True)
class Chunk:
    """A piece of text that the model speaks in one generation.

    Attributes:
        ids: token ids.
        text: the prepared text of the ids.
        frames_after_eos: the number of frames to speak after the EOS.
        words: the written words, each with the number of letters and digits of `text` that are spoken for it. The first word is "" if
            it is the rest of a word from the previous chunk.
    """

    ids: list[int]
    text: str
    frames_after_eos: int
    words: tuple[tuple[str, int], ...] = field(default=(), compare=False)

    @property
    def characters(self) -> int:
        """The number of characters of the written text, including spaces."""
        return sum(len(word) + 1 for word, _ in self.words)


def split_text(
    text: str,
    tokenizer: Tokenizer,
    rules: TextRules,
    max_tokens: int,
    gap: float = 0.0,
    normalizer: Normalizer | None = None,
) -> Iterator[Chunk | Pause]:
    """Split a text into chunks to speak and pauses, in order. Pauses between chunks have at least `gap` seconds.

    The result is lazy. normalizer: None: the text is read as the official package reads it.

    Raises:
        TextError: there is nothing to speak, or the text is not valid Unicode. Raised by the call, before the first chunk.
    """
    return _chunks(_texts_and_pauses(text, gap, normalizer), tokenizer, rules, max_tokens, gap, normalizer)


def check(text: str, normalizer: Normalizer | None) -> None:
    """Raise the errors of `split_text`, without a tokenizer."""
    _texts_and_pauses(text, 0, normalizer)


def _texts_and_pauses(text: str, gap: float, normalizer: Normalizer | None) -> list[str | Pause]:
    if not isinstance(text, str):
        raise TextError(f"text must be a string, not {type(text).__name__}")
    _check_unicode(text)
    if not text.strip():
        raise _nothing_to_speak(text)
    if normalizer is None:
        return [text]
    return split_at_pauses(clean_text(text), gap, normalizer.emoji) or [Pause(PAUSE)]  # only invisible characters


def _chunks(
    found: list[str | Pause],
    tokenizer: Tokenizer,
    rules: TextRules,
    max_tokens: int,
    gap: float,
    normalizer: Normalizer | None,
) -> Iterator[Chunk | Pause]:
    for piece in found:
        if isinstance(piece, Pause):
            yield piece
            continue
        normalized = as_written(piece) if normalizer is None else normalizer.normalize(piece)
        if normalizer is not None and not any(map(str.isalnum, normalized.text)):
            continue
        words = _Words(normalized)
        sentences = split_sentences(normalized.text, tokenizer, rules, max_tokens, normalizer)
        is_first = True
        for sentence in sentences:
            prepared, guess = prepare(sentence, rules)
            if normalizer is not None and not any(map(str.isalnum, prepared)):
                continue
            lists = split_tokens(prepared, tokenizer, max_tokens)
            frames = (
                guess + 2
                if rules.model_recommended_frames_after_eos is None
                else rules.model_recommended_frames_after_eos
            )
            for ids in lists:
                if gap and not is_first:
                    yield Pause(gap)
                spoken = prepared if len(lists) == 1 else tokenizer.decode(ids)
                yield Chunk(ids, spoken, frames, words.next(spoken))
                is_first = False


class _Words:
    """Assigns the written words of a text to its chunks."""

    def __init__(self, spoken: Normalized) -> None:
        self._spoken = spoken
        self._left: list[tuple[str, int]] | None = None  # the next word last

    def next(self, text: str) -> tuple[tuple[str, int], ...]:
        """The words of the next chunk, by its number of letters."""
        if self._left is None:
            self._left = self._spoken.words()[::-1]
        letters, found = count_letters(text), []
        while letters > 0 and self._left:
            word, count = self._left.pop()
            found.append((word, min(count, letters)))
            if count > letters:
                self._left.append(("", count - letters))
            letters -= count
        return tuple(found)


def prepare(text: str, rules: TextRules) -> tuple[str, int]:
    """Prepare a text for the tokenizer. Returns it, and the number of frames to speak after the EOS; the caller adds 2.

    Raises:
        TextError: there is nothing to speak, or the text is not valid Unicode.
    """
    _check_unicode(text)
    given, text = text, text.strip()
    if rules.replace_characters:
        text = " ".join(text.translate({ord(mark): other for mark, other in rules.replace_characters.items()}).split())
        text = PAUSE_AFTER_STOP.sub("", text)  # '"Hi!", she said' without its quotes
    if not text:
        raise _nothing_to_speak(given)
    text = text.translate(LINE_BREAKS).replace("  ", " ")
    if rules.remove_semicolons:
        text = text.replace(";", ",")
    frames_after_eos = 3 if len(text.split()) < SHORT else 1
    if rules.capitalize_first_letter and not text[0].isupper():
        text = text[0].upper() + text[1:]
    if rules.append_terminal_punctuation:
        text = _end_sentence(text)
    if rules.pad_with_spaces_for_short_inputs and len(text.split()) < SHORT:
        text = PADDING + text
    return text, frames_after_eos


def split_sentences(
    text: str, tokenizer: Tokenizer, rules: TextRules, max_tokens: int, normalizer: Normalizer | None = None
) -> list[str]:
    """Split a text into chunks of whole sentences, of at most `max_tokens` tokens where possible. Call `prepare` for each of them.

    A sentence that is too long is split at commas, semicolons and colons. Without any it stays whole, with a warning. With a
    `Normalizer`, words are never split, and the language decides which dots end a sentence; without, the chunks are those of the
    official package. Time is linear in the length of the text.

    Raises:
        TextError: as `prepare`.
    """
    prepared = prepare(text, rules)[0].strip()
    if unknown := _unknown_letters(prepared, tokenizer):
        logger.warning("the model does not know %.40s: words with these letters may be skipped", unknown)
    if normalizer is None:
        segments = _official_segments(prepared, tokenizer, max_tokens)
    else:
        segments = _segments(prepared, tokenizer, max_tokens, normalizer)
    chunks = _pack(segments, max_tokens)
    if not chunks:
        raise _nothing_to_speak(text)
    return chunks


def _segments(prepared: str, tokenizer: Tokenizer, max_tokens: int, normalizer: Normalizer) -> list[tuple[int, str]]:
    """Sentences, or clauses of long sentences, as (number of tokens, text)."""
    start_tokens = len(tokenizer.encode(""))

    def counted(texts: list[str]) -> list[tuple[int, str]]:
        return [(len(tokenizer.encode(text)) - start_tokens, text) for text in texts]

    segments: list[tuple[int, str]] = []
    for count, sentence in counted(split_at(prepared, sentence_ends(prepared, normalizer.rules))):
        segments += counted(split_at(sentence, clause_ends(sentence))) if count > max_tokens else [(count, sentence)]
    return segments


def _official_segments(prepared: str, tokenizer: Tokenizer, max_tokens: int) -> list[tuple[int, str]]:
    segments: list[tuple[int, str]] = []
    for count, sentence in _split_after(prepared, tokenizer, ".!...?", keep_numbers=True):
        clauses = _split_after(sentence.strip(), tokenizer, ",;:") if count > max_tokens else []
        segments += clauses if len(clauses) > 1 else [(count, sentence)]
    return segments


def _pack(segments: list[tuple[int, str]], max_tokens: int) -> list[str]:
    """Join segments up to `max_tokens`. segments: (number of tokens, text)."""
    chunks: list[str] = []
    filled = 0  # tokens in the last chunk
    for count, segment in segments:
        if count > max_tokens:
            logger.warning("%d tokens without a pause: words may be skipped: '%.50s...'", count, segment.strip())
        if chunks and filled + count <= max_tokens:
            chunks[-1] += " " + segment
            filled += count
        else:
            chunks.append(segment)
            filled = count
    return [chunk.strip() for chunk in chunks if chunk.strip()]


def split_tokens(prepared: str, tokenizer: Tokenizer, max_tokens: int) -> list[list[int]]:
    """The token ids of a chunk in one list. More than MAX_TOKENS_AT_ONCE are split between words, into lists of about `max_tokens`."""
    ids = tokenizer.encode(prepared)
    if len(ids) <= MAX_TOKENS_AT_ONCE:
        return [ids]
    pieces, lists = tokenizer.pieces(prepared), []
    while len(ids) > max_tokens:
        ends = range(max_tokens, max_tokens // 2, -1)
        word = next((i for i in ends if pieces[i][:1] in (" ", SPACE)), None)
        end = word or next((i for i in ends if pieces[i]), max_tokens)  # "" is the rest of a character in byte tokens
        lists.append(ids[:end])
        ids, pieces = ids[end:], pieces[end:]
    return [*lists, ids]


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(f"The text is not Unicode at character {error.start + 1}: save it as UTF-8.") from None


def _nothing_to_speak(text: str) -> TextError:
    what = f"in {text.strip()[:20]!r}" if text.strip() else "in an empty text"
    return TextError(f"There is nothing to speak {what}: give at least one word.")


def _end_sentence(text: str) -> str:
    """End a text with a stop. A stop replaces a comma or similar at the end; without a mark, a full stop is added."""
    body = text.rstrip(CLOSERS + " ")
    if not body or body[-1] in STOPS:
        return text
    if body[-1] in PAUSES:
        return body.rstrip(PAUSES + " ") + "." + text[len(body) :].strip()
    return text + "."


def _split_after(text: str, tokenizer: Tokenizer, marks: str, keep_numbers: bool = False) -> list[tuple[int, str]]:
    """Split a text after each run of tokens of `marks`, into (number of tokens, text). keep_numbers: do not split "3.14"."""
    pieces = tokenizer.pieces(text)
    # The first piece of any text is the start token or the leading space; "" stands for no text at all.
    ends = set(tokenizer.pieces(marks)[1:]) - {""}
    cuts = [0]
    for i in range(1, len(pieces)):
        if pieces[i - 1] in ends and pieces[i] not in ends and not (keep_numbers and _in_number(pieces, i, tokenizer)):
            cuts.append(i)
    cuts.append(len(pieces))
    return [(b - a, tokenizer.join(pieces[a:b])) for a, b in zip(cuts, cuts[1:], strict=False)]


def _unknown_letters(text: str, tokenizer: Tokenizer) -> str:
    """The letters and digits of a text that have no token. With byte fallback there are none."""
    letters = " ".join(sorted(set(filter(str.isalnum, text))))
    known = tokenizer.decode(tokenizer.encode(letters))
    return "".join(sorted(set(tokenizer.join(tokenizer.pieces(letters))) - set(known)))


def _in_number(pieces: list[str], i: int, tokenizer: Tokenizer) -> bool:
    """Whether a digit and a period come before piece `i` and a digit after them."""
    before = tokenizer.join(pieces[max(0, i - DIGIT_REACH) : i])
    after = tokenizer.join(pieces[i : i + DIGIT_REACH])
    return before[-1:] == "." and before[-2:-1].isdigit() and after[:1].isdigit()
