"""HTTP/1.1 framing: where a response ends, and what of it is body."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import chunk, chunked, head, sized

from pytest_llamaburn.backends._framing import HEAD_LIMIT, Framing, FramingError

STREAM = head(200, transfer_encoding="chunked")


def framed(*reads: bytes) -> Framing:
    framing = Framing()
    for read in reads:
        framing.feed(read)
    return framing


@given(payloads=st.lists(st.binary(min_size=1), max_size=5), cuts=st.sets(st.integers(1, 200)))
def test_any_split_of_a_chunked_response_gives_the_same_body(
    payloads: list[bytes], cuts: set[int]
) -> None:
    raw = b"".join(chunked(*payloads))
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    framing = framed(*(raw[a:b] for a, b in pairwise(places)))
    assert framing.body == b"".join(payloads)
    assert framing.done


@given(payloads=st.lists(st.binary(min_size=1), max_size=5), cut=st.integers(0, 100))
def test_a_piece_knows_where_it_stood_in_the_raw_stream(payloads: list[bytes], cut: int) -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\n" + b"".join(chunked(*payloads))
    framing = framed(raw[:cut], raw[cut:])
    assert all(raw[at : at + len(piece)] == piece for at, piece in framing.pieces)


@pytest.mark.parametrize(
    "raw",
    [
        b"".join(chunked(b"one", b"two")),
        sized(200, b"onetwo"),
        b"".join([STREAM, b"0\r\nX: y\r\n\r\n"]),
    ],
    ids=["chunked", "sized", "trailer"],
)
def test_a_response_is_whole_at_its_last_byte_and_not_before(raw: bytes) -> None:
    framing = framed(raw[:-1])
    assert not framing.done
    framing.feed(raw[-1:])
    assert framing.done


def test_a_sized_body_ends_at_its_length() -> None:
    framing = framed(sized(200, b"four") + b"more")
    assert framing.body == b"four"
    assert framing.done


def test_a_body_without_length_ends_when_the_server_closes() -> None:
    framing = framed(head(200), b"part", b"ial")
    assert not framing.done
    framing.eof()
    assert framing.done
    assert framing.body == b"partial"


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nServ", STREAM, sized(200, b"body")[:-1]])
def test_a_close_does_not_complete_a_response_that_was_cut(raw: bytes) -> None:
    framing = framed(raw)
    framing.eof()
    assert not framing.done


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_body_is_whole_with_its_head(status: int) -> None:
    assert framed(head(status)).done


def test_a_chunk_is_taken_as_it_comes() -> None:
    """So nothing is looked at again, however many reads a chunk takes."""
    framing = framed(STREAM + b"64\r\nfirst ")
    assert framing.body == b"first "
    framing.feed(b"part")
    assert framing.body == b"first part"


def test_the_pieces_that_were_taken_are_forgotten_but_for_the_beginning() -> None:
    framing = framed(STREAM + chunk(b"one"))
    assert [piece for _, piece in framing.take()] == [b"one"]
    assert framing.take() == []
    for byte in (b"x", b"y", b"z"):
        framing.feed(chunk(byte * 70_000))
        framing.take()
    assert framing.body == b"one" + b"x" * 70_000 + b"y" * 70_000


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-1", "1_0", ""])
def test_a_length_that_is_no_number_means_until_the_close(length: str) -> None:
    framing = framed(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode("latin-1"))
    assert framing.until_close


@pytest.mark.parametrize("cut", range(40))
def test_lines_of_the_framing_may_end_with_lf_alone(cut: int) -> None:
    raw = b"HTTP/1.1 200\nTransfer-Encoding: chunked\n\n3\none\n3;a=b\r\ntwo\n0\nX: y\n\n"
    framing = framed(raw[:-cut], raw[-cut:])
    assert (framing.body, framing.done, framing.strict) == (b"onetwo", True, False)


def test_chunk_extensions_are_ignored() -> None:
    framing = framed(STREAM + chunk(b"one", ";a=b") + chunk(b"two", " ;c") + chunk(b"", ";d=e"))
    assert framing.body == b"onetwo"
    assert framing.done


def test_trailers_are_not_body() -> None:
    framing = framed(STREAM + chunk(b"body") + b"0\r\nX-Took: 3\r\nX-Cost: 4\r\n\r\n")
    assert framing.body == b"body"
    assert framing.done


def test_line_ends_inside_a_chunk_do_not_end_it() -> None:
    payload = b"a\r\n0\r\n\r\nb"
    assert framed(STREAM + chunk(payload) + chunk(b"")).body == payload


def test_sizes_in_upper_and_lower_case_are_read() -> None:
    body = b"x" * 0xAB
    framing = framed(STREAM + b"AB\r\n" + body + b"\r\nab\r\n" + body + b"\r\n")
    assert framing.body == 2 * body


def test_interim_heads_announce_the_real_one() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    framing = framed(interim)
    assert framing.status == 0
    framing.feed(sized(201, b"made"))
    assert (framing.status, framing.body, framing.done) == (201, b"made", True)


def test_thousands_of_interim_heads_are_passed_over() -> None:
    raw = b"HTTP/1.1 102 Processing\r\n\r\n" * 5000 + sized(200, b"made")
    framing = framed(raw)
    assert (framing.status, framing.body, framing.done) == (200, b"made", True)


@pytest.mark.parametrize(
    ("start", "more", "kind"),
    [
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n", "oversized_answer"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n", "oversized_answer"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 10_000, "oversized_answer"),
        (STREAM, b"1;x=" + b"y" * 900, "malformed_chunk"),
        (STREAM + chunk(b"")[:-2], b"X-More: and more\r\n", "malformed_chunk"),
    ],
    ids=["interim heads", "headers", "a header", "a chunk's size", "trailers"],
)
def test_what_surrounds_a_body_is_bounded(start: bytes, more: bytes, kind: str) -> None:
    with pytest.raises(FramingError) as caught:
        framed(start, *[more] * (HEAD_LIMIT // len(more) + 2))
    assert caught.value.kind == kind


@pytest.mark.parametrize("size", [b"zz", b"", b"-7", b"+5", b"0x5", b"1_0", b" 5", b"5 5", b"-7;a"])
def test_a_size_that_is_not_hexadecimal_is_refused(size: bytes) -> None:
    with pytest.raises(FramingError, match="not hexadecimal"):
        framed(STREAM + chunk(b"hello") + size + b"\r\nhello\r\n")


def test_a_chunk_longer_than_its_size_is_refused() -> None:
    with pytest.raises(FramingError, match="longer"):
        framed(STREAM + b"3\r\nfour\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/2 200 \r\n\r\n", b"220\r\n\r\n", b"HTTP/1.1 2000\r\n"],
)
def test_what_is_not_http_is_refused(raw: bytes) -> None:
    with pytest.raises(FramingError, match="status line"):
        framed(raw)


def test_the_cut_end_of_a_stream_is_kept() -> None:
    framing = framed(STREAM + chunk(b"whole") + b"64\r\ncut he")
    assert framing.body == b"wholecut he"


def test_nothing_after_a_malformed_chunk_is_body() -> None:
    framing = Framing()
    with pytest.raises(FramingError):
        framing.feed(STREAM + chunk(b"good") + b"zz\r\nbad\r\n" + chunk(b"later"))
    assert framing.body == b"good"


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (head(200, content_length="0"), True),
        (head(200, content_length="0", connection="close"), False),
        (head(200, content_length="0", connection="Close"), False),
        (STREAM, True),
        (head(200), False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (head(200, transfer_encoding="chunked", server="llama.cpp"), False),
        (head(200, content_length="0", server="llama.cpp"), True),
    ],
)
def test_the_head_tells_whether_the_connection_can_be_used_again(
    raw: bytes, *, reusable: bool
) -> None:
    assert framed(raw).keep_alive is reusable
