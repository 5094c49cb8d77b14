"""Books with the structure of real EPUBs from seven publishers: the text that is read, chapter by chapter.

The structures are those of EPUBs in packages of Debian and npm: Alice (Project Gutenberg, 2010), The War of the Worlds
(Feedbooks), The Waste Land (IDPF samples), calibre's Quick Start Guide, the Ubuntu Packaging Guide (Sphinx), the Live Systems Manual
(SiSU) and the example of nodepub. The texts are our own.
"""

import zipfile

import pytest

from pockettts.documents.reader import read_document

XHTML = "application/xhtml+xml"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def package(pages, folder, metadata="", more="", guide="", toc="", version="2.0", properties=None):
    """An OPF for pages by name, in this order."""
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="{XHTML}" properties="{(properties or {}).get(name, "")}"/>'
        for n, name in enumerate(pages)
    )
    spine = "".join(
        f'<itemref idref="i{n}"/>' for n, name in enumerate(pages) if "nav" not in (properties or {}).get(name, "")
    )
    return {
        f"{folder}content.opf": f'<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="{version}"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">{metadata}</metadata><manifest>{items}'
        f'<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>{more}</manifest><spine toc="ncx">{spine}</spine>{guide}'
        "</package>",
        f"{folder}toc.ncx": f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{toc}</navMap></ncx>',
    } | {folder + name: page for name, page in pages.items()}


def point(title, source, inner=""):
    return f'<navPoint><navLabel><text>{title}</text></navLabel><content src="{source}"/>{inner}</navPoint>'


def html(body, head=""):
    return f'<?xml version="1.0" encoding="UTF-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>{head}</head><body>{body}</body></html>'


def gutenberg():
    """One page with the whole text, between the license in <div>s with <br/>, and a cover named by its page."""
    name = "www.gutenberg.org@files@19033@19033-h@19033-h-0.htm"
    body = (
        '<div class="pgmonospaced pgheader"><br/>The Project Gutenberg EBook of Lamps, by Ann Author<br/><br/>This eBook is for the use '
        "of anyone<br/><br/>*** START OF THIS PROJECT GUTENBERG EBOOK LAMPS ***<br/><br/>Produced by Some Volunteers<br/></div>"
        '<div class="figcenter"><img src="cover_th.jpg" alt="Cover"/></div>'
        '<h2 id="pgepubid00000">I—THE LAMP</h2><p>It was <span class="pagenum"><a id="Page_3">[3]</a></span>dark.</p>'
        '<h2 id="pgepubid00001">II—THE KEEPER</h2><p>He could not swim.</p><div class="footnote"><p><a href="#r">[A]</a> Nor fly.</p></div>'
        '<div class="pgmonospaced">End of the Project Gutenberg EBook of Lamps, by Ann Author<br/><br/>*** END OF THIS PROJECT GUTENBERG '
        "EBOOK LAMPS ***<br/><br/>***** This file should be named 1.txt *****<br/>Section 1. General Terms</div>"
    )
    toc = point("I—THE LAMP", f"{name}#pgepubid00000") + point("II—THE KEEPER", f"{name}#pgepubid00001")
    more = '<item id="c" href="cover_th.jpg" media-type="image/jpeg"/>'
    about = '<dc:title>Lamps</dc:title><dc:creator opf:file-as="Author, Ann">Ann Author</dc:creator><meta content="i0" name="cover"/>'
    return package({name: html(body)}, "19033/", about, more, toc=toc) | {"19033/cover_th.jpg": PNG}, [
        ("", "Produced by Some Volunteers"), ("I—THE LAMP", "I—THE LAMP It was dark."),
        ("II—THE KEEPER", "II—THE KEEPER He could not swim."),
    ]  # fmt: skip


def feedbooks():
    """Pages with the extension .xml; parts that are pages with only a title, with chapters below them in the table of contents."""
    pages = {
        "cover.xml": html('<div id="cover"><img src="images/cover.png"/></div>'),
        "title.xml": html('<div id="titlepage"><h1>Lamps</h1><h2>Ann Author</h2></div>'),
        "main0.xml": html('<div class="part"><h1>Part 1<br/>\nThe Coming</h1></div>'),
        "main1.xml": html('<div class="chapter"><h2><span class="chapter_title">Chapter 1</span> The Eve</h2><p>No one came.</p></div>'),
        "main2.xml": html('<div class="chapter"><h2><span class="chapter_title">Chapter 2</span> The Star</h2><p>Then it fell.</p></div>'),
    }  # fmt: skip
    toc = point("Title", "title.xml") + point(
        "Part 1 - The Coming", "main0.xml", point("Chapter 1", "main1.xml") + point("Chapter 2", "main2.xml")
    )
    return package(pages, "OPS/", toc=toc) | {"OPS/images/cover.png": PNG}, [
        ("Title", "Lamps Ann Author"), ("Part 1 - The Coming", "Part 1 The Coming"),
        ("Chapter 1", "Chapter 1 The Eve No one came."), ("Chapter 2", "Chapter 2 The Star Then it fell."),
    ]  # fmt: skip


def idpf():
    """EPUB 3 with one page: sections, verses with line numbers, and notes after the text."""
    body = (
        '<section epub:type="frontmatter"><h1>The Lamp</h1></section><section epub:type="bodymatter"><section id="ch1"><h2>I. Dusk</h2>'
        '<div class="linegroup"><div>April was <a epub:type="noteref" href="#n1">*</a>cruel,<span class="lnum">10</span></div><div>May was not.'
        '</div></div></section><section id="ch2"><h2>II. Night</h2><div>It was late.<span\n class="lnum">20</span></div></section></section>'
        '<section epub:type="backmatter"><section epub:type="rearnotes" id="rearnotes"><h2>NOTES</h2><section><h3>I. Dusk</h3>'
        '<div epub:type="rearnote" id="n1"><p>Line 1. See May.</p></div></section></section></section>'
    )
    nav = (
        '<nav epub:type="toc" id="toc"><ol><li><a href="p.xhtml#ch1">I. Dusk</a></li><li><a href="p.xhtml#ch2">II. Night</a></li>'
        '<li><a href="p.xhtml#rearnotes">Notes</a></li></ol></nav>'
    )
    files = package(
        {"p.xhtml": html(body), "nav.xhtml": html(nav)}, "EPUB/", version="3.0", properties={"nav.xhtml": "nav"}
    )
    return files, [
        ("The Lamp", "The Lamp"), ("I. Dusk", "I. Dusk April was cruel, May was not."), ("II. Night", "II. Night It was late."),
    ]  # fmt: skip


def calibre():
    """A cover in SVG, a contents page in the spine, and chapters that are split into several files."""
    cover = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="../images/cover.jpg"/></svg>'
    pages = {
        "text/titlepage.xhtml": html(f"<div>{cover}</div>", "<title>Cover</title>"),
        "text/toc.xhtml": html('<h2 class="center">Table of Contents</h2><ul>' + "".join(
            f'<li><a href="part_{n}.xhtml">Task {n}</a></li>' for n in (1, 2, 3)) + "</ul>"),
        "text/part_1.xhtml": html('<h1 class="center" id="a">Task 1</h1><p class="calibre1">Open it.</p>'),
        "text/part_1_split_001.xhtml": html('<p class="calibre1">Close it.</p>'),
        "text/part_2.xhtml": html('<h1 class="center">Task 2</h1><p>See <a href="part_1.xhtml">Task 1</a>.</p>'),
        "text/part_3.xhtml": html('<h1 class="center">Task 3</h1><p>Go.</p>'),
    }  # fmt: skip
    toc = "".join(point(f"Task {n}", f"text/part_{n}.xhtml") for n in (1, 2, 3))
    guide = '<guide><reference href="text/titlepage.xhtml" title="Cover" type="cover"/></guide>'
    more = '<item href="images/cover.jpg" id="cover" media-type="image/jpeg"/>'
    files = package(pages, "", '<meta name="cover" content="cover"/>', more, guide, toc) | {"images/cover.jpg": PNG}
    return files, [("Task 1", "Task 1 Open it. Close it."), ("Task 2", "Task 2 See Task 1."), ("Task 3", "Task 3 Go.")]


def sphinx():
    """Navigation bars on each page, code listings, an index without a type, and broken links in the NCX."""
    bar = (
        '<div class="related" role="navigation" aria-label="related navigation"><h3>Navigation</h3><ul><li class="right"><a href="b.xhtml" '
        'title="B">next</a></li><li class="nav-item"><a href="a.xhtml">Guide</a> &#187;</li></ul></div>'
    )
    foot = '<div class="footer" role="contentinfo">&#169; Copyright 2021, Somebody.</div>'
    listing = '<div class="highlight-default notranslate"><div class="highlight"><pre><span></span>$ make all</pre></div></div>'
    pages = {
        "guide/a.xhtml": html(f'{bar}<div class="body" role="main"><section id="x"><h1><span class="section-number">1. </span>Start</h1><p>'
                              f"Run this:</p>{listing}<p>Well done.</p></section></div>{bar}{foot}"),
        "guide/b.xhtml": html(f'{bar}<div class="body" role="main"><h1>2. End</h1><p>That is all.</p></div>{foot}'),
        "guide/genindex.xhtml": html(f'{bar}<h1 id="index">Index</h1><table><tr><td><a href="a.xhtml#x">lamp</a></td><td><a href="b.xhtml">'
                                     f'oil</a>, <a href="b.xhtml#q">[1]</a></td></tr></table>{foot}'),
    }  # fmt: skip
    toc = point("Start", "a.xhtml") + point("End", "b.xhtml") + point("Index", "guide/genindex.xhtml")
    return package(pages, "", toc=toc, version="3.0"), [
        ("1. Start", "1. Start Run this: Well done."), ("2. End", "2. End That is all."),
    ]  # fmt: skip


def sisu():
    """A contents page made of headings; its title is that of the book."""
    contents = "".join(
        f'<h1 class="toc">Part {n}</h1><h4 class="toc"><a href="s{n}.xhtml">{n}. About {n}</a></h4><h5 class="toc"><a '
        f'href="s{n}.xhtml#o{n}">{n}.1 How to begin with all of it</a></h5><h6 class="toc"><a href="s{n}.xhtml#o{n}9">{n}.1.1 And then</a></h6>'
        for n in (1, 2)
    )
    pages = {"index.xhtml": html(f'<div class="content">{contents}</div>')}
    for n in (1, 2):
        pages[f"s{n}.xhtml"] = html(
            f'<h4 class="norm">{n}. About {n}</h4><div class="substance"><label class="ocn"><a name="{n}" href="#{n}" class="lnkocn">{n}</a></label>'
            f'<p class="i0" id="o{n}">Words of {n}.</p></div>'
        )
    toc = point("Table of Contents", "index.xhtml") + "".join(point(f"{n}. About {n}", f"s{n}.xhtml") for n in (1, 2))
    return package(pages, "OEBPS/", toc=toc), [
        (f"{n}. About {n}", f"{n}. About {n} Words of {n}.") for n in (1, 2)
    ]  # fmt: skip


def nodepub():
    """A list of links with its own title, and a copyright page that is named only in the table of contents."""
    names = ["Chapter 1", "Chapter 2", "Chapter 3", "More Books to Read", "About the Author"]
    pages = {
        "content/copyright-page.xhtml": html("<div><h1>Lamps</h1><h3>&#169; Anonymous, 1980</h3><p>All rights reserved.</p></div>"),
        "content/toc.xhtml": html("<h1>Chapters</h1>" + "".join(
            f"<div><a href='s{n}.xhtml'>{name}</a></div>" for n, name in enumerate(names))),
        "nav.xhtml": html('<nav epub:type="toc"><ol><li><a href="content/copyright-page.xhtml">Copyright</a></li>' + "".join(
            f"<li><a href='content/s{n}.xhtml'>{name}</a></li>" for n, name in enumerate(names)) + "</ol></nav>"),
    }  # fmt: skip
    pages |= {f"content/s{n}.xhtml": html(f"<h1>{name}</h1><p>Words.</p>") for n, name in enumerate(names)}
    return package(pages, "OEBPF/", version="3.0", properties={"nav.xhtml": "nav"}), [
        (name, f"{name} Words.") for name in names
    ]  # fmt: skip


@pytest.mark.parametrize(
    "maker", [gutenberg, feedbooks, idpf, calibre, sphinx, sisu, nodepub], ids=lambda maker: maker.__name__
)
def test_what_is_read_of_the_books_of_each_maker(maker, tmp_path, caplog):
    files, expected = maker()
    opf = next(name for name in files if name.endswith(".opf"))
    with zipfile.ZipFile(tmp_path / "book.epub", "w") as book:
        book.writestr(
            "META-INF/container.xml", f'<container><rootfiles><rootfile full-path="{opf}"/></rootfiles></container>'
        )
        for name, content in files.items():
            book.writestr(name, content)
    document = read_document(tmp_path / "book.epub")
    assert [(chapter.title, " ".join(chapter.text.split())) for chapter in document.chapters] == expected
    assert not caplog.records
    assert document.cover == (PNG if any(content == PNG for content in files.values()) else b"")
