"""Text files, Markdown and EPUB as chapters of plain text."""

import re
import time
import zipfile

import pytest

from pockettts.documents.blocks import Apparatus
from pockettts.documents.encodings import decode_page
from pockettts.documents.markup import from_html, from_markdown
from pockettts.documents.reader import Chapter, read, read_document, whole
from pockettts.errors import TextError
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
                if content is None:
                    continue
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
    ("a.docx", b"", "a.docx is damaged: it is an empty file"), ("a.docx", bytes(99), "not that of a Word document"),
    ("a.pdf", b"\xff\xfe\xfd" * 99, "not that of a PDF file"), ("a.odt", b"\xff" * 99, "not that of an OpenDocument file"),
    ("a.epub", b"ID3\3\0\0", "a.epub is an MP3 file"), ("a.epub", b"PK\3\4", "not that of an EPUB"),
    ("a.txt", b"PK\3\4 and no more", "a.txt is a damaged ZIP archive"),
    ("a.srt", b"1\n00:00:01,000 --> 00:00\n", "a.srt has no subtitles"),
])  # fmt: skip
def test_damaged_files_are_one_line(tmp_path, caplog, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=words):
        read(tmp_path / name)
    assert not caplog.records


@pytest.mark.parametrize(
    "inside, name, words",
    [
        ("word/document.xml", "a.docx", "a.docx is a damaged Word document"),
        ("word/document.xml", "a", "a is a damaged Word document"),
        ("xl/workbook.xml", "a.xlsx", "a.xlsx is an Excel file"),
        ("content.xml", "a.odt", "a.odt is an OpenDocument file"),
        ("picture.png", "a.docx", "a.docx is a damaged Word document"),
        ("picture.png", "a.zip", "a.zip is a ZIP archive without a book"),
        ("picture.png", "a.epub", "a.epub is a damaged EPUB"),
        ("page.xhtml", "a.epub", "a.epub has no page that can be read .the page page.xhtml is skipped: it is not text"),
    ],
)
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_archive_is_called_what_it_was(tmp_path, caplog, inside, name, words, is_cut):
    pytest.importorskip("docx")
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr(inside, "\1" * 5000)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:3000] if is_cut else content)
    if is_cut and inside == "page.xhtml":
        words = "a.epub has no page that can be read"
    if not is_cut and name == "a.epub" and inside == "picture.png":
        words = "a.epub has no page"
    with pytest.raises(TextError, match=words):
        read(tmp_path / name)
    assert not caplog.records


@pytest.mark.parametrize("name, content", [
    ("OEBPS/text/one 1.xhtml", None), ("OEBPS/text/two.xhtml", None),
    ("OEBPS/book.opf", PACKAGE.replace('<itemref', '<itemref idref="nobody"/><itemref', 1)),
    ("OEBPS/book.opf", PACKAGE.replace('id="2"', 'id="3"')),
    ("OEBPS/book.opf", PACKAGE.replace("two.", "2.")),
])  # fmt: skip
def test_a_page_that_is_missing_costs_no_other(epub, caplog, name, content):
    chapters = read(epub(**{name: content}))
    assert chapters and caplog.records and all("is skipped" in record.message for record in caplog.records)


@pytest.mark.parametrize("name, content", [
    ("META-INF/container.xml", "<a>"), ("META-INF/container.xml", None),
    ("META-INF/container.xml", CONTAINER.replace("book.opf", "no.opf")),
    ("META-INF/container.xml", CONTAINER.replace("OEBPS/", "oebps\\")),
    ("OEBPS/book.opf", re.sub(' xmlns="[^"]*"', "", PACKAGE)),
    ("OEBPS/book.opf", PACKAGE.replace("<manifest>", "&nbsp;<manifest>")),
    ("OEBPS/book.opf", PACKAGE.replace('href="text/two.xhtml"', 'href="/OEBPS/text/two.xhtml"')),
    ("OEBPS/book.opf", PACKAGE.replace('href="text/two.xhtml"', 'href="text/TWO.xhtml#start"')),
])  # fmt: skip
def test_a_package_with_faults_is_read_whole(epub, name, content):
    assert read(epub(**{name: content})) == read(epub())


@pytest.mark.parametrize("page", [
    "<html><head><title>T</title><p>Words here.</p>", "<html><title/><body><p>Words here.</p></body></html>",
    "<html><head/><script src='x'/><p>Words here.", "<p><![CDATA[Words]]> here.</p>", "<p>Words&nbsp;here.</p>",
    "<p>Words here.</p><sup><a href='#n1'>1</a></sup>", "<p>Words here.<a href='#n'><sup>a</sup></a></p>", "<p>Words here.[15]</p>",
    "<p>Words here.<a role='doc-noteref' href='n.html'>note</a></p>", "<p>Words <span epub:type='pagebreak'>12</span>here.</p>",
    "<p>Words here.</p><aside epub:type='footnote'><p>Note.</p></aside>", "<p>Words here.</p><section role='doc-endnotes'>N</section>",
    "<p>Words <span class='pagenum'>[Pg 3]</span>here.</p>", "<section epub:type='index'>a, 1</section><p>Words here.</p>",
])  # fmt: skip
def test_what_is_no_text_is_left_out_and_nothing_else(page):
    assert " ".join(block.text for block in from_html(page)).replace("\xa0", " ") == "Words here."


@pytest.mark.parametrize("page", [
    "the 1<sup>st</sup>", "x<b>2</b>", "[1] a list", "<a href='#c'>Chapter</a>", "see <a href='#i'>I</a>",
])  # fmt: skip
def test_what_only_looks_like_a_mark_stays(page):
    assert from_html(page)[0].text == re.sub("<[^>]*>", "", page)


def test_notes_are_read_when_asked():
    page = (
        "<p>Words.<a epub:type='noteref' href='#n'>1</a></p><aside epub:type='footnote' id='n'><p>A note.</p></aside>"
    )
    assert [block.text for block in from_html(page, Apparatus(notes=True))] == ["Words.", "A note."]
    text = "Words[^1].\n\n[^1]: A note\n    of two lines.\n\nMore."
    assert [block.text for block in from_markdown(text)[0]] == ["Words.", "More."]
    assert "A note of two lines." in [block.text for block in from_markdown(text, Apparatus(notes=True))[0]]


def test_an_element_with_very_many_attributes_takes_no_time():
    attributes = " ".join(f"a{n}='1'" for n in range(50_000))
    picture = f'<img src="data:image/png;base64,{"A" * 5000}" alt="A picture."/>'
    page = f"<p {attributes}>Words.</p>{picture}<p class='hidden-{'x' * 3000}' hidden>No.</p>"
    assert [block.text for block in from_html(page, Apparatus(alt=True))] == ["Words.", "A picture."]


def test_deeply_nested_markdown_is_read():
    quotes = "\n\n".join(">" * depth + f" Level {depth}." for depth in range(1, 60))
    assert [block.text for block in from_markdown(quotes)[0]] == [f"Level {depth}." for depth in range(1, 60)]
    items = "\n".join("  " * depth + f"- Level {depth}." for depth in range(40))
    assert [block.text for block in from_markdown(items)[0]] == [f"- Level {depth}." for depth in range(40)]


@pytest.mark.parametrize("mark", ["[", "![", "[^", "^[", "[a "])
def test_unclosed_brackets_in_markdown_take_linear_time(mark):
    def parse_seconds(count):
        start = time.process_time()
        (block,) = from_markdown(mark * count)[0]
        assert block.text == (mark * count).strip()
        return time.process_time() - start

    parse_seconds(10)  # imports
    assert parse_seconds(20_000) < 10  # quadratic time: minutes for "[^"


def test_links_and_emphasis_in_each_other_are_read_in_markdown():
    assert from_markdown("[**_~~a~~ b_** *c **d `e`* f** g](h) i")[0][0].text == "a b c d e f g i"


def test_a_word_document_that_is_too_large_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("docx")
    monkeypatch.setattr("pockettts.documents.docx.MAX_PART", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(2 << 20))
    with pytest.raises(TextError, match="a.docx has more than 1 MB"):
        read(tmp_path / "a.docx")


def test_a_warning_about_a_page_names_its_file(tmp_path, caplog):
    (tmp_path / "a.html").write_text("<html><body>Words." + "<div>" * 3000 + "x")
    assert read(tmp_path / "a.html")[0].text == "Words."
    assert "a.html: it has elements more than 2048 deep" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "iso-8859-1"])
def test_encodings_of_pages(encoding):
    declared = f'<meta charset="{encoding}">' if encoding.startswith("iso") else ""
    page = f"{declared}<p>café naïve</p>".encode(encoding)
    assert from_html(decode_page(page))[0].text == "café naïve"


def test_kinds_are_known_by_their_content(tmp_path):
    (tmp_path / "page.txt").write_text("<!DOCTYPE html><title>T</title><h1>One</h1><p>a</p><h1>Two</h1><p>b</p>")
    assert [chapter.title for chapter in read(tmp_path / "page.txt")] == ["One", "Two"]
    (tmp_path / "utf16.txt").write_bytes("Grüße".encode("utf-16"))
    assert read(tmp_path / "utf16.txt")[0].text == "Grüße"
    for name, content, kind in (("a.txt", b"\x89PNG\r\n", "a PNG image"), ("b.epub.txt", b"ID3\x04", "an MP3 file")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TextError, match=f"{name} is {kind}"):
            read(tmp_path / name)


def test_subtitles_have_times(tmp_path):
    srt = "1\r\n00:00:01,500 --> 00:00:02,000\r\n<i>Hello</i>\r\nthere.\r\n\r\n2\r\n00:01:00,000 --> 00:01:02,000\r\nBye.\r\n"
    vtt = "WEBVTT\n\nNOTE x\n\n00:01.500 --> 00:02.000 align:start\n<v Ann>Hello\nthere.\n\n01:00.000 --> 01:02.000\nBye.\n"
    for name, text in (("a.srt", srt), ("a.vtt", vtt)):
        (tmp_path / name).write_bytes(text.encode())
        cues = read_document(tmp_path / name).cues
        assert [(cue.start, cue.text) for cue in cues] == [(1.5, "Hello there."), (60, "Bye.")]


def test_word_documents(tmp_path):
    docx = pytest.importorskip("docx")
    word = docx.Document()
    for heading in ("One", "Two"):
        word.add_heading(heading, 1)
        word.add_paragraph(f"Text of {heading}.")
    word.core_properties.title = "A Book"
    word.save(tmp_path / "book.docx")
    document = read_document(tmp_path / "book.docx")
    assert document.title == "A Book" and [c.title for c in document.chapters] == ["One", "Two"]


def test_a_missing_extra_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("pockettts.documents.reader.find_spec", lambda name: None)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(TextError, match=r"pip install 'pockettts\[pdf\]'"):
        read(tmp_path / "a.pdf")


def test_too_large_is_refused(epub, monkeypatch, tmp_path):
    path = epub(**{"OEBPS/cover.xhtml": "word " * 300_000})  # as zip bombs are: small, until it is unpacked
    monkeypatch.setattr("pockettts.documents.reader.MAX_BYTES", 1 << 20)
    with pytest.raises(TextError, match="more than 1 MB of text"):
        read(path)
    with pytest.raises(TextError, match="longer than 1 MB"):
        read(write(tmp_path / "a.txt", "word " * 300_000))


# --- PDF, Word, front matter -----------------------------------------------------------------------------------------------


def pdf(pages, outline=(), title=""):
    """A PDF with lines of text on each page, and bookmarks as (title, page)."""
    objects = {1: "<< /Type /Catalog /Pages 2 0 R" + (" /Outlines 3 0 R" if outline else "") + " >>"}
    objects[5] = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    objects[6] = f"<< /Title ({title}) /Author (Ann Author) >>"
    kids = []
    for number, lines in enumerate(pages):
        page, content = 10 + 2 * number, 11 + 2 * number
        kids.append(f"{page} 0 R")
        objects[page] = (
            f"<< /Type /Page /Parent 2 0 R /Resources << /Font << /F 5 0 R >> >> /MediaBox [0 0 600 800] /Contents {content} 0 R >>"
        )
        shown = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
        stream = f"BT /F 12 Tf 50 750 Td {shown}ET" if lines else ""
        objects[content] = f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream"
    objects[2] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    marks = range(500, 500 + len(outline))
    if outline:
        objects[3] = f"<< /First {marks[0]} 0 R /Last {marks[-1]} 0 R /Count {len(outline)} >>"
    for number, (name, page) in zip(marks, outline, strict=True):
        following = f" /Next {number + 1} 0 R" if number != marks[-1] else ""
        objects[number] = f"<< /Title ({name}) /Parent 3 0 R /Dest [{10 + 2 * page} 0 R /Fit]{following} >>"
    data, places = b"%PDF-1.4\n", {}
    for number, body in sorted(objects.items()):
        places[number] = len(data)
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{number} 1\n{place:010} 00000 n \n" for number, place in sorted(places.items()))
    trailer = f"xref\n0 1\n0000000000 65535 f \n{table}trailer << /Size 600 /Root 1 0 R /Info 6 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + trailer.encode()


def test_pdf(tmp_path):
    pytest.importorskip("pypdf")
    words = ["alpha", "beta", "gamma", "delta", "epsilon"]
    pages = [["THE LAMP", "Ann Author"]]
    pages += [
        ["THE LAMP", f"It is {a} here.", f"The {a} is con-", f"tinued as {a}.", f"- {n} -"]
        for n, a in enumerate(words, 2)
    ]
    (tmp_path / "book.bin").write_bytes(pdf(pages, [("One", 1), ("Two", 4)], "The Lamp"))
    document = read_document(tmp_path / "book.bin")
    assert (document.title, document.author) == ("The Lamp", "Ann Author")
    assert [chapter.title for chapter in document.chapters] == ["", "One", "Two"]
    text = whole(document.chapters)
    assert "THE LAMP" not in text and "- 3 -" not in text and "The beta is continued as beta." in " ".join(text.split())
    (tmp_path / "b.pdf").write_bytes(pdf([["Chapter 1"], ["It began."], ["Chapter 2"], ["It ended."]]))
    assert "It began." in whole(read(tmp_path / "b.pdf"))


@pytest.mark.parametrize("content, words", [
    (pdf([[], []]), "no text: its pages are pictures"), (pdf([["x"]])[:200], "damaged or protected"), (b"%PDF-1.7\n", "damaged or protected"),
    (b"%PDF-1.4\n1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj 2 0 obj << /Type /Pages /Kids [2 0 R] /Count 1 >> endobj "
     b"trailer << /Root 1 0 R >>", "damaged or protected|no text"),
])  # fmt: skip
def test_pdf_files_that_can_not_be_read_are_one_line(tmp_path, content, words):
    pytest.importorskip("pypdf")
    (tmp_path / "a.pdf").write_bytes(content)
    with pytest.raises(TextError, match=words) as error:
        read(tmp_path / "a.pdf")
    assert "a.pdf" in str(error.value) and "\n" not in str(error.value)


def test_pdf_with_a_password(tmp_path):
    pypdf = pytest.importorskip("pypdf")
    from io import BytesIO

    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf([["Words."]])))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    with pytest.raises(TextError, match="password"):
        read(tmp_path / "a.pdf")


def test_all_of_a_word_document(tmp_path):
    docx = pytest.importorskip("docx")
    word = docx.Document()
    word.add_heading("One", 1)
    word.add_paragraph("Before.")
    table = word.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Ann", "sings"
    word.add_paragraph("First", style="List Bullet")
    word.add_heading("Two", 1)
    run = word.add_paragraph("After").add_run(" all")
    run.add_break()
    run.add_text("of it.")
    word.save(tmp_path / "book.epub")  # content counts, not the name
    one, two = read(tmp_path / "book.epub")
    assert [line.lstrip("- ") for line in one.text.split("\n") if line] == ["One", "Before.", "Ann", "sings", "First"]
    assert two.text == "Two\n\nAfter all\nof it."
    (tmp_path / "bad.docx").write_bytes((tmp_path / "book.epub").read_bytes()[:2000])
    with pytest.raises(TextError, match=r"bad\.docx"):
        read(tmp_path / "bad.docx")


@pytest.mark.parametrize("matter", [
    "---\ntitle: The Lamp\nauthor: [Ann, Bob]\nlang: de\n---\n", '+++\ntitle = "The Lamp"\nauthor = \'Ann, Bob\'\nlang = "de"\n+++\n',
    "---\nTitle: 'The Lamp'\nauthors:\n  - Ann\n  - Bob\nlanguage: de\n...\n",
])  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_front_matter(tmp_path, matter, newline):
    (tmp_path / "a.md").write_bytes((matter + "# One\n\nText.\n\n# Two\n\nMore.\n").replace("\n", newline).encode())
    document = read_document(tmp_path / "a.md")
    assert (document.title, document.author, document.language) == ("The Lamp", "Ann, Bob", "de")
    assert [chapter.text for chapter in document.chapters] == ["One\n\nText.", "Two\n\nMore."]


def test_a_rule_is_no_front_matter(tmp_path):
    for start in ("---\n\nHello there.\n\n---\n", "***\n\nHello there.\n"):
        assert "Hello there." in whole(read(write(tmp_path / "a.md", start + "\nMore.\n")))


@pytest.mark.parametrize("headings", [
    ["I", "II", "III"], ["1.", "2.", "3."], ["CHAPTER ONE", "CHAPTER TWO", "EPILOGUE"], ["Prologue", "1. Kapitel", "2. Kapitel"],
    ["Letter 1", "Letter 2", "Chapter 1"], ["PART ONE: DUSK", "PART TWO: NIGHT", "Afterword."],
])  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_chapters_are_found_in_plain_text(tmp_path, headings, newline):
    text = "The Lamp\n\nby Ann Author\n\n" + "\n\n".join(
        f"\n{heading}\n\nIt was dark. Chapter and verse." for heading in headings
    )
    (tmp_path / "a.txt").write_bytes(text.replace("\n", newline).encode())
    assert [chapter.title for chapter in read(tmp_path / "a.txt")] == ["", *headings]


def test_lists_and_dates_are_no_chapters(tmp_path):
    for text in (
        "Bring:\n\n1. milk\n2. oats\n\nIt is 1999.\n\n1999\n\nEnd.",
        "It was a\n\nmix of I and\n\nV",
        "Part of it\n\nwas true.",
    ):
        assert len(read(write(tmp_path / "a.txt", text))) == 1


def test_the_license_of_project_gutenberg_is_not_read(tmp_path):
    license = "The Project Gutenberg eBook of Lamps\n\n*** START OF THE PROJECT GUTENBERG EBOOK LAMPS ***\n\n{}\n\n*** END OF THE PROJECT " \
              "GUTENBERG EBOOK LAMPS ***\n\nSection 1. Terms."  # fmt: skip
    text = "Chapter 1\n\nIt was dark.\n\nChapter 2\n\nIt was not."
    assert whole(read(write(tmp_path / "a.txt", license.format(text)))).split() == text.split()
    page = "".join(f"<p>{part}</p>" for part in license.format("It was dark.").split("\n\n"))
    assert whole(read(write(tmp_path / "a.html", f"<!DOCTYPE html><body>{page}"))) == "It was dark."
    about = "I read about Project Gutenberg. END OF THE PROJECT."
    assert whole(read(write(tmp_path / "b.txt", about))) == about


@pytest.mark.parametrize("numerals, spoken", [
    ("I II III IV V", "1 II III IV 5"), ("IX X XI", "IX 10 XI"), ("I. II. V. VI.", "1. II. 5. VI."), ("I V X", "I V X"),
    ("C D I J V W", "C D I J V W"), ("I MCM", "I MCM"),
])  # fmt: skip
def test_roman_headings_that_count_are_numbers(numerals, spoken, tmp_path):
    """The normalization reads "II" as a number, but a single letter needs its neighbors."""
    path = tmp_path / "book.md"
    path.write_text("\n\n".join(f"# {numeral}\n\nThe lamp was lit." for numeral in numerals.split()))
    chapters = read(path)
    assert [chapter.text.split("\n")[0] for chapter in chapters] == spoken.split()
    assert [chapter.title for chapter in chapters] == numerals.split()


def test_roman_headings_of_plain_text(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text("The Lamp\n\nI\n\nIt was lit.\n\nII\n\nIt went out.\n")
    assert read_document(path).plain == "The Lamp\n\n1\n\nIt was lit.\n\nII\n\nIt went out."
