"""What the parsers of documents share: the blocks that they return, and the choice of parts to read."""

from dataclasses import dataclass, field


@dataclass
class Block:
    """A paragraph, a heading, a list or similar.

    Attributes:
        text: has no markup. It has line breaks after list items and where the source has explicit line breaks.
        level: 1 to 6 for a heading; 0: not a heading.
        ids: the ids of the elements that start in the block; links refer to them.
    """

    text: str
    level: int = 0
    ids: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Apparatus:
    """The parts of a book's apparatus to read in addition to its text. All other parts, such as page numbers, are left out.

    Attributes:
        notes: footnotes and endnotes, each after the paragraph that refers to it.
        alt: the alternative texts of pictures.
    """

    notes: bool = False
    alt: bool = False


TEXT_ONLY = Apparatus()
