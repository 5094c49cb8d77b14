"""Text files, Markdown and EPUB as chapters of plain text."""

import zipfile

import pytest

from pockettts.errors import TextError
from pockettts.reading.documents import Chapter, read, whole
from pockettts.reading.pauses import Pause, split_at_pauses

MARKDOWN = """\
---
title: The Lamp
---
# The Lamp

A *short* tale of **one** `lamp`, and [its keeper](https://example.org "him"). It is told here
as it was told to me[^1] \\*once\\*.

## One

- milk
- oats & tea
    1. first
    2. second

```python
print("not this")
```

> He said: "So it is."<br>She did not.

<!-- nor this -->

![a picture](x.png)

***

| who | what |
| --- | --- |
| Ann | sings |

## Two

The end.
"""

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf"><manifest>
<item id="n" href="nav.xhtml" properties="nav"/><item id="c" href="cover.xhtml"/><item id="1" href="text/one%201.xhtml"/>
<item id="1b" href="text/more.xhtml"/><item id="2" href="text/two.xhtml"/><item id="x" href="notes.xhtml"/></manifest>
<spine><itemref idref="n"/><itemref idref="c"/><itemref idref="1"/><itemref idref="1b"/><itemref idref="2"/>
<itemref idref="x" linear="no"/></spine></package>"""
PAGES = {
    "nav.xhtml": "<nav>Contents</nav>", "cover.xhtml": "<img src='cover.jpg'/>", "notes.xhtml": "<p>A note.</p>",
    "text/one 1.xhtml": "<h1>One</h1><p>It is\n  late &amp; <i>dark</i>.<a epub:type='noteref' href='#1'>1</a></p><p>So.<br/>Yes.</p>",
    "text/more.xhtml": "<p>It went on.</p><style>p {}</style>", "text/two.xhtml": "<div><h2>Two</h2></div><hr/><p>The end.</p>",
}  # fmt: skip


@pytest.fixture
def epub(tmp_path):
    def make(**changes):
        path = tmp_path / "book.epub"
        with zipfile.ZipFile(path, "w") as book:
            pages = {f"OEBPS/{name}": page for name, page in PAGES.items()}
            for name, content in (
                {"META-INF/container.xml": CONTAINER, "OEBPS/book.opf": PACKAGE} | pages | changes
            ).items():
                page = f"<html><head><title>No</title></head><body>{content}</body></html>"
                book.writestr(name, page if "xhtml" in name else content)
        return path

    return make


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def test_text(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeffOne line.\nAnother.\n")
    assert read(path) == [Chapter("", "One line.\nAnother.\n")] and whole(read(path)) == "One line.\nAnother.\n"
    assert read(write(tmp_path / "no_suffix", "So.")) == [Chapter("", "So.")]


@pytest.mark.parametrize("heading", ["CHAPTER I.", "Chapter Two: The Lamp", "chapter 3", "Part One", "Epilogue", "Kapitel 4",
                                     "CHAPITRE XII. \u2014 La lampe", "Cap\u00edtulo 5", "Vorwort"])  # fmt: skip
def test_chapters_of_a_text_file(tmp_path, heading):
    text = f"A title\n\n\n{heading}\nThe first words.\n\nPart of it was true.\nchapter and verse.\n\n  {heading} \n\nThe last words."
    chapters = read(write(tmp_path / "a.txt", text))
    assert [chapter.title for chapter in chapters] == ["", heading, heading]
    assert chapters[1].text.startswith(heading) and chapters[1].text.rstrip().endswith("verse.")
    assert whole(chapters).split() == text.split()


def test_markdown(tmp_path):
    lamp, one, two = read(write(tmp_path / "a.md", MARKDOWN))
    assert (lamp.title, one.title, two.title) == ("The Lamp", "One", "Two") and two.text == "Two\n\nThe end."
    assert (
        lamp.text
        == "The Lamp\n\nA short tale of one lamp, and its keeper. It is told here as it was told to me *once*."
    )
    assert one.text.split("\n\n") == ["One", "- milk\n- oats & tea", "1. first\n2. second", 'He said: "So it is."\nShe did not.', "***",
                                      "who, what\nAnn, sings"]  # fmt: skip
    said = [piece for piece in split_at_pauses(one.text) if not isinstance(piece, Pause)]
    assert said == ["One", "milk", "oats & tea", "1. first", "2. second", 'He said: "So it is."', "She did not.", "who, what",
                    "Ann, sings"]  # fmt: skip


def test_epub(epub):
    assert read(epub()) == [
        Chapter("One", "One\n\nIt is late & dark.\n\nSo.\nYes.\n\nIt went on."), Chapter("Two", "Two\n\n***\n\nThe end."),
    ]  # fmt: skip


@pytest.mark.parametrize("name, content, words", [
    ("a.epub", b"not a zip", "a.epub is damaged"), ("a.epub", b"", "a.epub is damaged"), ("a.md", b"\xff", "not UTF-8"),
    ("a.txt", b"a\0b", "is not text"), ("a.md", b" \n", "a.md is empty"), ("a.md", b"<!-- x -->", "a.md is empty"),
])  # fmt: skip
def test_damaged_files_are_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=words):
        read(tmp_path / name)


@pytest.mark.parametrize("name, content", [
    ("META-INF/container.xml", "<a>"), ("META-INF/container.xml", "<a/>"),
    ("META-INF/container.xml", CONTAINER.replace("book.opf", "no.opf")),
    ("OEBPS/book.opf", PACKAGE.replace("<manifest>", "")), ("OEBPS/book.opf", PACKAGE.replace('id="2"', 'id="3"')),
    ("OEBPS/book.opf", PACKAGE.replace("two.", "2.")),
])  # fmt: skip
def test_damaged_epubs_are_one_line(epub, name, content):
    with pytest.raises(TextError, match="damaged"):
        read(epub(**{name: content}))


def test_too_large_is_refused(epub, monkeypatch, tmp_path):
    path = epub(**{"OEBPS/cover.xhtml": "word " * 300_000})  # as zip bombs are: small, until it is unpacked
    monkeypatch.setattr("pockettts.reading.documents.MAX_BYTES", 1 << 20)
    with pytest.raises(TextError, match="more than 1 MB of text"):
        read(path)
    with pytest.raises(TextError, match="longer than 1 MB"):
        read(write(tmp_path / "a.txt", "word " * 300_000))
