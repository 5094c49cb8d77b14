"""Faulty EPUBs: a bad part does not stop the book, and is always reported."""

import random
import re
import zipfile

import pytest

from pockettts.documents.blocks import Apparatus
from pockettts.documents.reader import read_document
from pockettts.errors import TextError

CONTAINER = (
    '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
HTML = 'media-type="application/xhtml+xml"'
ITEMS = "".join(f'<item id="c{n}" href="c{n}.xhtml" {HTML}/>' for n in (1, 2, 3))
SPINE = "".join(f'<itemref idref="c{n}"/>' for n in (1, 2, 3))
WHOLE = ["Chapter 1 Words of page 1, café.", "Chapter 2 Words of page 2, café.", "Chapter 3 Words of page 3, café."]
OPF, PAGE = "OEBPS/content.opf", "OEBPS/c2.xhtml"


def opf(
    items=ITEMS, spine=SPINE, meta="", guide="", head='<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
):
    return (
        f'<?xml version="1.0"?>{head}<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Book</dc:title>'
        f"<dc:creator>Ann Author</dc:creator><dc:language>en</dc:language>{meta}</metadata><manifest>{items}</manifest>"
        f"<spine>{spine}</spine>{guide}</package>"
    )


def page(n, more=""):
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>t</title></head><body><h1>Chapter {n}</h1>'
        f"<p>Words of page {n}, café.</p>{more}</body></html>"
    )


@pytest.fixture
def epub(tmp_path):
    def make(files=None):
        content = {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER, OPF: opf()}
        content |= {f"OEBPS/c{n}.xhtml": page(n) for n in (1, 2, 3)}
        with zipfile.ZipFile(tmp_path / "book.epub", "w", zipfile.ZIP_DEFLATED) as book:
            for name, data in (content | (files or {})).items():
                if data is not None:
                    book.writestr(name, data)
        return tmp_path / "book.epub"

    return make


def texts(path, **apparatus):
    return [" ".join(chapter.text.split()) for chapter in read_document(path, Apparatus(**apparatus)).chapters]


FAULTS = {
    "none": {},
    "declared Latin-1": {PAGE: page(2).replace("utf-8", "iso-8859-1").encode("latin-1")},
    "undeclared cp1252": {PAGE: page(2).replace(' encoding="utf-8"', "").encode("cp1252")},
    "cp1252 declared as UTF-8": {PAGE: page(2).encode("cp1252")},
    "UTF-16": {PAGE: page(2).replace("utf-8", "utf-16").encode("utf-16")},
    "UTF-16 without BOM": {PAGE: page(2).encode("utf-16-le")},
    "UTF-8 declared as UTF-16": {PAGE: page(2).replace("utf-8", "utf-16")},
    "a package in UTF-16": {OPF: opf().encode("utf-16")},
    "other case": {PAGE: None, "oebps/C2.XHTML": page(2)},
    "a fragment": {OPF: opf(ITEMS.replace("c1.xhtml", "c1.xhtml#start"))},
    "an absolute address": {OPF: opf(ITEMS.replace("c1.xhtml", "/OEBPS/c1.xhtml"))},
    "absolute from the package": {OPF: opf(ITEMS.replace("c1.xhtml", "/c1.xhtml"))},
    "backslashes in a name": {PAGE: None, "OEBPS\\c2.xhtml": page(2)},
    "backslashes everywhere": {OPF: None, "OEBPS\\content.opf": opf(), "META-INF/container.xml": CONTAINER.replace("S/", "S\\")},
    "backslashes in the package": {OPF: opf(ITEMS.replace("c1", "text\\c1", 2).replace("text\\c1", "c1", 1)),
                                   "OEBPS/text/c1.xhtml": page(1), "OEBPS/c1.xhtml": None},
    "a wrong folder": {PAGE: None, "text/c2.xhtml": page(2)},
    "a space as %20": {OPF: opf(ITEMS.replace("c2.xhtml", "c%202.xhtml")), PAGE: None, "OEBPS/c 2.xhtml": page(2)},
    "%20 as such": {OPF: opf(ITEMS.replace("c2.xhtml", "c%202.xhtml")), PAGE: None, "OEBPS/c%202.xhtml": page(2)},
    "an entity in the package": {OPF: opf(meta="<dc:description>a&nbsp;b &copy; & <i>c</dc:description>")},
    "no namespace": {OPF: opf(head="<package>")},
    "prefixes": {OPF: opf().replace("<item", "<opf:item").replace("manifest>", "opf:manifest>")},
    "an id in other case": {OPF: opf(spine=SPINE.replace('"c2"', '" C2 "'))},
    "no container": {"META-INF/container.xml": None},
    "an empty container": {"META-INF/container.xml": "<a>"},
    "no </head>": {PAGE: page(2).replace("</head>", "")},
    "an open head": {PAGE: "<html><head><title>t</title><h1>Chapter 2</h1><p>Words of page 2, café.</p>"},
    "an open title": {PAGE: "<html><head><title>t<body><h1>Chapter 2</h1><p>Words of page 2, café.</p>"},
    "an open style": {PAGE: "<html><head><title>t</title><style>p {}<h1>Chapter 2</h1><p>Words of page 2, café.</p>"},
    "an empty title": {PAGE: page(2).replace("<title>t</title>", "<title/>")},
    "an empty script": {PAGE: page(2).replace("<h1>", '<script src="x"/><h1>')},
    "open tags": {PAGE: "<html><body><h1>Chapter 2<p>Words <i>of <b>page</i> 2, café."},
    "CDATA": {PAGE: page(2).replace("Words of", "<![CDATA[Words]]> of")},
    "entities of its own": {PAGE: '<!DOCTYPE html [<!ENTITY w "Words">]>' + page(2).replace("Words", "&w;")},
    "tags with a prefix": {PAGE: "<h:html><h:head><h:title>t</h:title></h:head><h:body><h:h1>Chapter 2</h:h1><h:p>Words of page 2, "
                                 "café.</h:p></h:body></h:html>"},
    "two documents in one": {PAGE: page(2).replace(" 2, café", "</p></body></html><html><body><p>2, café")},
    "a picture with a fallback": {OPF: opf(ITEMS + '<item id="x" href="x.gif" media-type="image/gif" fallback="c2"/>',
                                           SPINE.replace("c2", "x"))},
    "a page twice": {OPF: opf(spine=SPINE * 2)},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_all_text_is_read(epub, fault, caplog):
    assert texts(epub(FAULTS[fault])) == WHOLE and not caplog.records


SKIPPED = {
    "a missing page": ({PAGE: None}, "c2.xhtml is skipped: it is missing"),
    "an item that is not there": ({OPF: opf(ITEMS.replace('id="c2"', 'id="other"'))}, "'c2' is skipped: the manifest"),
    "no text": ({PAGE: random.Random(1).randbytes(3000)}, "c2.xhtml is skipped: it is not text"),
    "a picture": ({PAGE: b"\x89PNG\r\n\x1a\n" + bytes(500)}, "c2.xhtml is skipped: it is not text"),
    "a bomb": ({PAGE: b" " * (17 << 20)}, "c2.xhtml is skipped: it has more than 16 MB"),
    "a bomb of tags": ({PAGE: b"<b>" * 600_000}, "c2.xhtml is skipped: it has more than 500,000 tags"),
    "elements in elements": ({PAGE: b"<div>" * 100_000 + b"x"}, "c2.xhtml: it has elements more than 2048 deep"),
    "fallbacks in a circle": (
        {OPF: opf(ITEMS.replace(f'c2.xhtml" {HTML}', 'c2.gif" media-type="image/gif" fallback="c2"'))}, "c2.gif is skipped"),
    "protection": ({"META-INF/encryption.xml": '<encryption><enc:EncryptedData><enc:EncryptionMethod Algorithm="aes"/>'
                    '<enc:CipherReference URI="OEBPS/c2.xhtml"/></enc:EncryptedData></encryption>'}, "is protected"),
}  # fmt: skip


@pytest.mark.parametrize("fault", SKIPPED)
def test_what_is_skipped_is_named_and_the_rest_is_read(epub, fault, caplog):
    files, words = SKIPPED[fault]
    assert texts(epub(files)) == [WHOLE[0], WHOLE[2]]
    (record,) = caplog.records
    assert "book.epub: the page" in record.message and words in record.message
    assert words in read_document(epub(files)).warnings[0]


@pytest.mark.parametrize("files", [{OPF: None}, {OPF: opf(items="")}, {OPF: opf(spine="")}, {OPF: b"\xff" * 100}])
def test_without_a_list_of_pages_all_are_read(epub, files, caplog):
    assert texts(epub(files)) == WHOLE and "all pages" in caplog.text


def test_an_archive_that_is_cut_off_or_damaged(epub, caplog):
    path = epub()
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    assert texts(path) == WHOLE and "truncated" in caplog.text
    path.write_bytes(content[: content.index(b"c3.xhtml") + 20])
    assert texts(path) == WHOLE[:2]
    path.write_bytes(b"some bytes before" + content)
    assert texts(path) == WHOLE
    start = content.index(PAGE.encode()) + 40
    path.write_bytes(content[:start] + b"\xff" * 30 + content[start + 30 :])
    assert texts(path)[-1] == WHOLE[2] and "c2.xhtml" in caplog.text


def test_fonts_may_be_scrambled(epub, caplog):
    fonts = '<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/><CipherReference URI="a.otf"/>'
    assert texts(epub({"META-INF/encryption.xml": fonts})) == WHOLE and not caplog.records


def test_a_book_without_any_page_is_one_line(epub):
    with pytest.raises(TextError, match="no page that can be read"):
        read_document(epub({f"OEBPS/c{n}.xhtml": None for n in (1, 2, 3)}))


def test_thousands_of_pages(epub):
    count = 3000
    items = "".join(f'<item id="p{n}" href="p{n}.xhtml" {HTML}/>' for n in range(count))
    spine = "".join(f'<itemref idref="p{n}"/>' for n in range(count))
    files = {OPF: opf(items, spine)} | {f"OEBPS/p{n}.xhtml": f"<p>Page {n}.</p>" for n in range(count)}
    (text,) = texts(epub(files))
    assert text.startswith("Page 0. Page 1.") and text.endswith(f"Page {count - 1}.")


# --- what a book says about itself, and what is left out -----------------------------------------------------------------------------

NAV = """<html xmlns:epub="x"><body><nav epub:type="toc"><ol><li><a href="c1.xhtml">The First</a><ol><li><a href="c1.xhtml#s">A Section</a>
</li></ol></li><li><a href="c2.xhtml">The Second</a></li><li><a href="c2.xhtml#half">Half Way</a></li></ol></nav>
<nav epub:type="landmarks"><ol><li><a epub:type="copyright-page" href="c3.xhtml">Copyright</a></li></ol></nav></body></html>"""
NCX = """<ncx><navMap><navPoint><navLabel><text>The First</text></navLabel><content src="c1.xhtml"/><navPoint><navLabel><text>A Section
</text></navLabel><content src="c1.xhtml#s"/></navPoint></navPoint><navPoint><navLabel><text>The Second</text></navLabel>
<content src="c2.xhtml"/></navPoint>
<navPoint><navLabel><text>Half Way</text></navLabel><content src="c2.xhtml#half"/></navPoint></navMap></ncx>"""
GUIDE = '<guide><reference type="copyright-page" href="c3.xhtml"/></guide>'


@pytest.mark.parametrize("kind", ["EPUB 3", "EPUB 2"])
def test_the_table_of_contents_names_the_chapters(epub, kind):
    plain = {
        "OEBPS/c1.xhtml": '<p class="big">1</p><p>One.</p><h3 id="s">A Section</h3><p>More.</p>',
        PAGE: '<p>Two.</p><p id="half">Then.</p><p>End.</p>',
        "OEBPS/nav.xhtml": NAV, "OEBPS/toc.ncx": NCX,
    }  # fmt: skip
    if kind == "EPUB 3":
        package = opf(ITEMS + f'<item id="n" href="nav.xhtml" {HTML} properties="nav"/>')
    else:
        package = opf(ITEMS + '<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/>', guide=GUIDE)
    document = read_document(epub(plain | {OPF: package}))
    assert [(chapter.title, chapter.text) for chapter in document.chapters] == [
        ("The First", "1\n\nOne.\n\nA Section\n\nMore."), ("The Second", "Two."), ("Half Way", "Then.\n\nEnd."),
    ]  # fmt: skip


def test_what_a_book_says_about_itself(epub):
    jpeg = b"\xff\xd8\xff\xe0" + bytes(20)
    meta = '<dc:creator id="i">Ill Ustrator</dc:creator><meta refines="#i" property="role">ill</meta>'
    item = '<item id="pic" href="pic.jpg" media-type="image/jpeg"'
    for package in (
        opf(ITEMS + item + ' properties="cover-image"/>', meta=meta),
        opf(ITEMS + item + "/>", meta=meta + '<meta name="cover" content="pic"/>'),
        opf(ITEMS + item + "/>", meta=meta, guide='<guide><reference type="cover" href="cover.xhtml"/></guide>',
            spine=SPINE + '<itemref idref="cov"/>').replace("<manifest>", f'<manifest><item id="cov" href="cover.xhtml" {HTML}/>'),
    ):  # fmt: skip
        cover = '<svg><image xlink:href="pic.jpg"/></svg>'
        document = read_document(epub({OPF: package, "OEBPS/pic.jpg": jpeg, "OEBPS/cover.xhtml": cover}))
        assert (document.title, document.author, document.language) == ("The Book", "Ann Author", "en")
        assert document.cover == jpeg


LEFT_OUT = {
    "a list of links": '<h2>Contents</h2><ul><li><a href="c1.xhtml">A</a></li><li><a href="c2.xhtml">B</a></li><li><a href="#x">C</a></li></ul>',
    "nav": '<nav epub:type="toc"><a href="c1.xhtml">One</a></nav>',
    "an index": '<section epub:type="index"><h2>Index</h2><p>cats, 12</p></section>',
    "a copyright page": '<section role="doc-copyright" epub:type="copyright-page"><p>All rights reserved.</p></section>',
    "numbers of pages": '<span epub:type="pagebreak" id="p7">7</span><span class="pagenum">[Pg 8]</span><a id="page_9">9</a>',
    "a mark without a note": '<sup><a href="#n9">9</a></sup><a epub:type="noteref" href="#n8">note</a><a href="#f"><sup>3</sup></a>',
    "marks as text": '<span>[15]</span><sup>16</sup><sup>*</sup><sup>[3]</sup>',
    "an aside": '<aside epub:type="footnote" id="n1"><p>1. A note.</p></aside><aside role="doc-footnote">Another.</aside>',
    "endnotes": '<section epub:type="endnotes"><h2>Notes</h2><ol><li epub:type="endnote">A note.</li></ol></section>',
    "a picture": '<figure><img src="x.png" alt="A cat"/></figure>',
    "what is hidden": '<p hidden="">No.</p><p style="display: none">No.</p><span aria-hidden="true">No.</span>',
}  # fmt: skip


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_the_apparatus_is_not_read(epub, kind):
    content = page(2).replace(
        "café.</p>", f"café.{LEFT_OUT[kind]}</p>" if "span" in LEFT_OUT[kind] else f"café.</p>{LEFT_OUT[kind]}"
    )
    assert texts(epub({PAGE: content})) == WHOLE


def test_captions_are_read_and_alternative_texts_if_wanted(epub):
    figure = '<figure><img src="x.png" alt="A cat."/><figcaption>Our cat.</figcaption></figure>'
    assert texts(epub({PAGE: page(2, figure)}))[1] == f"{WHOLE[1]} Our cat."
    assert texts(epub({PAGE: page(2, figure)}), alt=True)[1] == f"{WHOLE[1]} A cat. Our cat."


NOTES = {
    "semantic": ('<a epub:type="noteref" href="#n1">1</a>', '<aside epub:type="footnote" id="n1"><p>A note.</p></aside>'),
    "InDesign": ('<span class="s"><a class="_idFootnoteLink" href="c2.xhtml#fn-1" id="r1">1</a></span>',
                 '<div class="_idFootnotes"><div class="_idFootnote" id="fn-1"><p><a href="c2.xhtml#r1">1</a>\tA note.</p></div></div>'),
    "Gutenberg": ('<a id="FNanchor_1_1"></a><a href="#Footnote_1_1" class="fnanchor">[1]</a>',
                  '<div class="footnote"><p><a id="Footnote_1_1"></a>'
                  '<a href="#FNanchor_1_1"><span class="label">[1]</span></a> A note.</p></div>'),
    "Word": ('<a href="#_ftn1" name="_ftnref1"><sup>[1]</sup></a>',
             '<div id="ftn1"><p><a href="#_ftnref1" name="_ftn1">[1]</a> A note.</p></div>'),
    "pandoc": ('<a href="#fn1" class="footnote-ref" id="fnref1"><sup>1</sup></a>', '<section class="footnotes"><hr/><ol><li id="fn1">'
               '<p>A note.<a href="#fnref1" class="footnote-back">↩︎</a></p></li></ol></section>'),
    "plain links": ('<a id="r" href="#n">*</a>', '<p id="n"><a href="#r">*</a> A note.</p>'),
    "numbers": ('<a id="r" href="#n">12</a>', '<p><a id="n" href="#r">12</a>. A note.</p>'),
    "raised, without a link back": ('<sup><a href="#x">1</a></sup>', '<p id="x">1. A note.</p>'),
    "raised inside, and an id": ('<a href="#fn1"><sup>1</sup></a>', '<p id="fn1">A note.</p>'),
    "raised in a span": ('<sup class="calibre3"><span><a href="#x">[1]</a></span></sup>', '<p><a id="x"></a>[1] A note.</p>'),
    "a sign": ('<a href="#x">*</a>', '<p class="small" id="x">* A note.</p>'),
    "a dagger": ('<a href="#x">\u2020</a>', '<div id="x"><p>\u2020 A note.</p></div>'),
    "in brackets": ('<a href="#x">[1]</a>', '<p id="x">[1] A note.</p>'),
    "brackets around it": ('[<a href="#x">1</a>]', '<p id="x">1. A note.</p>'),
    "in parentheses": (' (<a href="#note1">1</a>)', '<p id="note1">(1) A note.</p>'),
    "raised by a style": ('<span class="super"><a href="#x">1</a></span>', '<p id="x">1 A note.</p>'),
    "an anchor before the note": ('<sup><a href="#filepos9">1</a></sup>', '<a id="filepos9"></a><p>1. A note.</p>'),
    "an empty block before the note": ('<sup><a href="#filepos9">1</a></sup>', '<div id="filepos9"></div><p>1. A note.</p>'),
    "a list": ('<sup><a href="#x">2</a></sup>', '<h3>Notes</h3><ol start="2"><li id="x">A note.</li></ol>'),
    "a paragraph in a list": ('<sup><a href="#x">2</a></sup>', '<h3>Notes</h3><ol start="2"><li><p id="x">A note.</p></li></ol>'),
    "a table": ('<sup><a href="#x">1</a></sup>', '<table><tr><td id="x">1</td><td>A note.</td></tr></table>'),
    "a letter": ('<sup><a href="#x">a</a></sup>', '<p id="x">a. A note.</p>'),
    "two marks": ('<sup><a href="#x">1</a></sup><sup><a href="#x">1</a></sup>', '<p id="x">1. A note.</p>'),
    "HTMLBook": ('<a data-type="noteref" href="#x">1</a>', '<p data-type="footnote" id="x">A note.</p>'),
}  # fmt: skip


@pytest.mark.parametrize("maker", NOTES)
def test_notes_are_left_out_or_read_in_their_place(epub, maker):
    mark, note = NOTES[maker]
    content = page(2, f"<p>Next.</p>{note}").replace("café.", f"café.{mark}")
    assert texts(epub({PAGE: content}))[1] == f"{WHOLE[1]} Next."
    assert texts(epub({PAGE: content}), notes=True)[1] == f"{WHOLE[1]} A note. Next."


def test_notes_on_a_page_of_their_own(epub):
    mark = '<a epub:type="noteref" href="c3.xhtml#n1" id="r1">1</a>'
    files = {
        PAGE: page(2, "<p>Next.</p>").replace("café.", f"café.{mark}"),
        "OEBPS/c3.xhtml": '<section epub:type="endnotes"><h1>Notes</h1><ol><li epub:type="endnote" id="n1"><p>A note. <a '
        'epub:type="backlink" href="c2.xhtml#r1">Back</a></p></li></ol></section>',
    }
    assert texts(epub(files)) == [WHOLE[0], f"{WHOLE[1]} Next."]
    assert texts(epub(files), notes=True) == [WHOLE[0], f"{WHOLE[1]} A note. Next."]


def test_notes_without_links_back_on_a_page_of_their_own(epub):
    """Under the headings of chapters, in several paragraphs, in a list of contents that names the page."""
    marks = "".join(f'Word{n}.<sup><a href="c3.xhtml#n{n}">{n % 2 + 1}</a></sup> ' for n in range(4))
    notes = (
        '<h1>Notes</h1><h2>Chapter 1</h2><p id="n0">1. Note A.</p><p>More of A.</p><p id="n1">2. Note B.</p><h2>Chapter 2</h2>'
        '<div><p id="n2">1. Note C.</p><p id="n3">2. Note D.</p><blockquote><p>More of D.</p></blockquote></div>'
    )
    files = {PAGE: page(2, f"<p>{marks}</p><p>Next.</p>"), "OEBPS/c3.xhtml": notes}
    read = "Word0. Word1. Word2. Word3."
    assert texts(epub(files)) == [WHOLE[0], f"{WHOLE[1]} {read} Next."]
    assert texts(epub(files), notes=True) == [
        WHOLE[0], f"{WHOLE[1]} {read} Note A. More of A. Note B. Note C. Note D. More of D. Next."
    ]  # fmt: skip


NO_NOTES = {
    "a chapter by its number": ('see chapter <a href="#x">3</a>', '<h2 id="x">3. The Storm</h2><p>It blew.</p>'),
    "a raised link to a heading": ('see<sup><a href="#x">3</a></sup>', '<h2 id="x">3. The Storm</h2><p>It blew.</p>'),
    "a section": ('see <a href="#x">[3]</a>', '<section id="x"><h2>3. The Storm</h2><p>It blew.</p></section>'),
    "a chapter in the table of contents": ('see<sup><a href="c3.xhtml#x">3</a></sup>', ""),
    "a block that other links lead to": ('<sup><a href="#x">3</a></sup> and <a href="#x">the storm</a>', '<p id="x">3. The Storm</p>'),
    "a step": ('back to step <a href="#x">3</a>', '<ol start="3"><li id="x">Stir.</li></ol>'),
    "a step in brackets": ('back to [<a href="#x">2</a>]', '<ol><li>Cut.</li><li id="x">Stir.</li><li>Cook.</li><li>Eat.</li></ol>'),
    "an equation": ('by (<a href="#x">3</a>)', '<p id="x">(3) a = b</p>'),
    "a verse": ('<sup><a href="#x">3</a></sup>', '<p id="x">And there was light.</p>'),
    "a year": ('in<sup><a href="#x">1</a></sup>', '<p id="x">1984 was a year.</p>'),
    "an article": ('word<sup><a href="#x">a</a></sup>', '<p id="x">A good man went by.</p>'),
    "numbers only": ('<a href="#v1">1</a> <sup><a href="#x">2</a></sup>', '<p id="v1">1. Light.</p><p id="x">2. Dark.</p>'),
    "a chapter after a list of notes": ('so<sup><a href="#n1">1</a></sup>', '<h3>Notes</h3><p>Words of mine.</p><p id="n1">1. A note.</p>'),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_NOTES)
def test_what_a_cross_reference_leads_to_is_read(epub, kind):
    link, target = NO_NOTES[kind]
    files = {PAGE: page(2, f"<p>{link}</p>{target}")}
    if kind == "a chapter in the table of contents":
        entry = '<li><a href="c3.xhtml#x">3. The End</a></li>'
        nav = f'<nav epub:type="toc"><ol><li><a href="c1.xhtml">One</a></li><li><a href="c2.xhtml">Two</a></li>{entry}</ol></nav>'
        files |= {
            "OEBPS/nav.xhtml": nav,
            OPF: opf(ITEMS + f'<item id="nav" href="nav.xhtml" properties="nav" {HTML}/>'),
            "OEBPS/c3.xhtml": '<p id="x">3. The End of it all</p>',
        }
        target = "3. The End of it all"
    found = " ".join(texts(epub(files)))
    words = re.sub(r"<[^>]*>", " ", target if kind != "a chapter after a list of notes" else "Words of mine.").split()
    assert set(words) <= set(found.split()), found


@pytest.mark.parametrize("text", ["5 km<sup>2</sup>", "see <a href='#c'>chapter 5</a>", "in <a href='#c5'>5</a> days", "the 1<sup>st</sup>",
                                  "call <code>f(x[15])</code> now", "<q>Yes</q>, he said [sic] loudly"])  # fmt: skip
def test_what_only_looks_like_apparatus_is_read(epub, text):
    plain = text.replace("<sup>2</sup>", "²")
    for tag in ("<sup>", "</sup>", "<code>", "</code>", "<q>", "</q>", "</a>", "<a href='#c'>", "<a href='#c5'>"):
        plain = plain.replace(tag, "")
    assert texts(epub({PAGE: page(2, f"<p>It is {text}.</p>")}))[1] == f"{WHOLE[1]} It is {plain}."
