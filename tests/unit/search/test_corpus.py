"""A directory of documents is indexed whole and searched without surprises."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.errors import DatasetError, MissingExtraError, SettingsError
from pytest_llamaburn.option import model_of
from pytest_llamaburn.search import _html, corpus
from pytest_llamaburn.settings import Searching

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.search._base import Hit

PAGE = """<!doctype html><html><head><title>Rivers &amp;
 lakes</title><style>p {color: red}</style><script>var hidden = "<p>secret</p>";</script>
<body><h1>The Nile</h1><p>The <b>Nile</b> flows
north<br>to the sea.<p>It is long.<template>unseen</template></body></html>"""


def pdf(*texts: str) -> bytes:
    """Return a PDF with one line of text on each page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(texts)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    font = "/Resources << /Font << /F1 3 0 R >> >>"
    for i, text in enumerate(texts):
        drawing = f"BT /F1 12 Tf 20 700 Td ({text}) Tj ET" if text else ""
        page = f"/Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * i} 0 R"
        objects += [
            f"<< /Type /Page {page} {font} >>",
            f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream",
        ]
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory with one document of each kind, and some that do not belong."""
    files: dict[str, bytes] = {
        "rivers.html": PAGE.encode(),
        "deep/er/capitals.md": "\ufeffParis is the capital of France.\n".encode(),
        "notes.TXT": b"Bread is made of flour, water and salt.",
        "moons.pdf": pdf("Phobos circles Mars.", "Titan circles Saturn."),
        ".git/config.txt": b"The capital of France is hidden here.",
        "picture.png": b"\x89PNG capital of France",
        "empty.txt": b"",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def corpus_of(folder: Path | str) -> corpus.Corpus:
    options = cast("Searching", model_of(Searching)(corpus=str(folder)))
    assert corpus.available(options, {}) is None
    return corpus.make(options, {})


def corpus_hits(folder: Path, query: str, limit: int = 5) -> list[Hit]:
    return asyncio.run(corpus_of(folder).find(query, limit))


@pytest.mark.parametrize(
    ("query", "title", "url", "text"),
    [
        ("What is France's capital?", "capitals.md", "deep/er/capitals.md", "Paris is the"),
        ("Which way does the Nile flow?", "Rivers & lakes", "rivers.html", "flows north"),
        ("baking BREAD", "notes.TXT", "notes.TXT", "flour, water and salt"),
        ("Who circles Saturn?", "moons.pdf", "moons.pdf#page=2", "Titan circles Saturn."),
    ],
)
def test_the_best_passage_of_each_kind_of_document_comes_first(
    folder: Path, query: str, title: str, url: str, text: str
) -> None:
    best = corpus_hits(folder, query)[0]
    assert (best.title, best.url) == (title, url)
    assert text in best.text


def test_hidden_files_and_other_kinds_are_left_alone(folder: Path) -> None:
    assert [hit.url for hit in corpus_hits(folder, "capital")] == ["deep/er/capitals.md"]


def test_a_rare_word_outweighs_a_frequent_one(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"the number of the page is {number}")
    (tmp_path / "x.txt").write_text("an axolotl lives in water")
    hits = corpus_hits(tmp_path, "the axolotl", limit=3)
    assert hits[0].url == "x.txt"
    assert len(hits) == 3


def test_the_same_question_finds_the_same_in_the_same_order(folder: Path) -> None:
    (folder / "twin.md").write_bytes((folder / "deep/er/capitals.md").read_bytes())
    first, again = (
        corpus_hits(folder, "capital of France"),
        corpus_hits(folder, "capital of France"),
    )
    assert first == again
    assert [hit.url for hit in first][:2] == ["deep/er/capitals.md", "twin.md"]


def test_the_words_of_a_title_are_found_too(folder: Path) -> None:
    assert corpus_hits(folder, "lake")[0].url == "rivers.html"


@given(query=st.text())
def test_no_question_is_a_syntax_error(query: str) -> None:
    index = corpus.Corpus([corpus.Part("t", "u", "What is hello-world? AND NOT near")])
    asyncio.run(index.find(query, 3))


@pytest.mark.parametrize(
    "query",
    [
        "What is it?",
        "hello-world",
        '"',
        "' OR 1=1 --",
        "near(",
        "a AND",
        "NOT",
        "title:x",
        "^*",
        "",
    ],
)
def test_questions_that_look_like_a_query_language_are_words(query: str) -> None:
    index = corpus.Corpus([corpus.Part("t", "u", "what is hello world near and not title")])
    words = [w for w in ("what", "hello", "near", "and", "not", "title") if w in query.lower()]
    assert bool(asyncio.run(index.find(query, 3))) == bool(words)


def test_a_question_of_thousands_of_words_is_searched(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("needle")
    query = " ".join(f"w{number}" for number in range(5000)) + " needle"
    assert [hit.url for hit in corpus_hits(tmp_path, query)] == ["a.txt"]


texts = st.lists(st.sampled_from(["\n\n", "\n", " ", "word", "x" * 700, "y" * 2500]))


@given(text=texts.map("".join) | st.text())
def test_passages_are_bounded_and_together_the_text(text: str) -> None:
    pieces = list(corpus.passages(text))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= corpus.PASSAGE_LIMIT for piece in pieces)


@pytest.mark.parametrize("separator", ["\n\n", "\n", " "])
def test_a_passage_ends_where_the_text_pauses(separator: str) -> None:
    text = "a" * 600 + separator + "b" * 300 + separator.strip() + "c" * 300
    assert next(corpus.passages(text)).strip() in ("a" * 600, "a" * 600 + separator + "b" * 300)


@pytest.mark.parametrize(
    ("html", "title", "text"),
    [
        ("plain &lt;text&gt;", "", "plain <text>"),
        ("<p>one</p><p>two</p>", "", "one\n\ntwo"),
        ("<p>o<i>n</i>e\n line</p>", "", "one line"),
        ("<head><title>T</title><body>b", "T", "b"),
        ("<title>T</title><svg><title>icon</title></svg>x", "T", "icon\n\nx"),
        ("<style>a{}</style>x<script>if (a < b) y()</script>", "", "x"),
        ("<noscript><p>on</noscript>x</style></body>", "", "x"),
        ("", "", ""),
    ],
)
def test_a_page_is_read_as_its_reader_sees_it(html: str, title: str, text: str) -> None:
    assert _html.read(html) == (title, text)


@given(html=st.text(st.sampled_from("<>/!-&;pbx \n\"'=[]?"), max_size=60))
def test_no_markup_is_too_broken_to_be_read(html: str) -> None:
    _html.read(html)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--corpus: .*/nowhere is not a directory$"):
        corpus_of(tmp_path / "nowhere")


def test_a_directory_without_documents_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    with pytest.raises(SettingsError, match=r"has no file with the suffix \.txt, \.md, "):
        corpus_of(tmp_path)


def test_a_file_in_another_encoding_is_refused_by_name(folder: Path) -> None:
    (folder / "old.txt").write_bytes("grün".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"old\.txt is not readable as text: "):
        corpus_of(folder)


@pytest.mark.parametrize("content", [b"", b"no pdf", pdf("x")[:200], b"%PDF-1.4\n%%EOF"])
@pytest.mark.filterwarnings("ignore")
def test_a_broken_pdf_is_refused_by_name(folder: Path, content: bytes) -> None:
    (folder / "broken.pdf").write_bytes(content)
    with pytest.raises(DatasetError, match=r"broken\.pdf (is not readable as PDF: |has no text)"):
        corpus_of(folder)


def test_a_pdf_of_pictures_only_is_refused_by_name(folder: Path) -> None:
    (folder / "scan.pdf").write_bytes(pdf("", ""))
    with pytest.raises(DatasetError, match=r"scan\.pdf has no text, only images"):
        corpus_of(folder)


def test_a_pdf_without_its_reader_names_the_extra(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingExtraError, match=r"moons\.pdf needs the extra \[search\]"):
        corpus_of(folder)
