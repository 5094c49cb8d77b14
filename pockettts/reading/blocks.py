"""What documents are made of before they are text, and what is read of them. Parsers are imported by who needs them."""

from dataclasses import dataclass, field


@dataclass
class Block:
    """A paragraph, a heading, a list or the like.

    Attributes:
        text: without markup. It has line breaks after items of lists and where a line is broken on purpose.
        level: of a heading, 1 to 6; 0: it is none.
        ids: of the elements that start in the block, so that links find it.
    """

    text: str
    level: int = 0
    ids: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Apparatus:
    """What is read beside the text.

    Attributes:
        notes: footnotes and endnotes, each after the paragraph that refers to it.
        alt: the alternative texts of pictures.
    """

    notes: bool = False
    alt: bool = False


TEXT_ONLY = Apparatus()
