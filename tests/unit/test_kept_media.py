"""Media of results: kept once, found by their ids alone, and never outside their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llamaburn import kept_media, media
from pytest_llamaburn.kept_media import Keeper
from pytest_llamaburn.media import Medium


def folder_of(home: Path) -> list[str]:
    return sorted(path.name for path in (home / kept_media.FOLDER).iterdir())


def test_the_same_sample_is_kept_once_under_a_name_of_its_content(tmp_path: Path) -> None:
    for name in ("a.PNG", "b.png"):
        (tmp_path / name).write_bytes(b"picture")
    one, two = (Keeper(tmp_path).of_file(tmp_path / name) for name in ("a.PNG", "b.png"))
    assert one == two == kept_media.keep(tmp_path, b"picture", ".png")
    assert folder_of(tmp_path) == [one]
    path = kept_media.found(tmp_path, str(one))
    assert path is not None
    assert path.read_bytes() == b"picture"


def test_what_no_browser_shows_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    (tmp_path / "a.tiff").write_bytes(b"scan")
    facts = {"path": str(tmp_path / "a.tiff")}
    sent = Medium("image", "image/png", media.base64_of(b"picture"), facts)
    assert Keeper(tmp_path).of_sent(sent) == kept_media.keep(tmp_path, b"picture", ".png")
    odd = sent._replace(mime="image/tiff")
    assert Keeper(tmp_path).of_sent(odd) is None
    frames = Medium("video", "image/jpeg", media.base64_of(b""), {"path": "a.mkv"})
    assert Keeper(tmp_path).of_sent(frames) is None
    played = Medium("audio", "audio/mp3", media.base64_of(b"song"), {})
    assert str(Keeper(tmp_path).of_sent(played)).endswith(".mp3")


def test_a_run_keeps_so_many_bytes_and_no_more(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.wav").write_bytes(bytes([number]) * 40)
    keeper = Keeper(tmp_path, most_bytes=100)
    kept = [keeper.of_file(tmp_path / f"{number}.wav") for number in range(3)]
    assert [one is None for one in kept] == [False, False, True]
    assert keeper.of_file(tmp_path / "missing.wav") is None
    assert len(folder_of(tmp_path)) == 2


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "multimodal").write_text("in the way")
    (tmp_path / "a.png").write_bytes(b"picture")
    assert Keeper(tmp_path).of_file(tmp_path / "a.png") is None
    assert kept_media.keep(tmp_path, b"picture", ".png") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../a.png",
        "a" * 32,
        "a" * 32 + ".html",
        "a" * 32 + ".png/..",
        "A" * 32 + ".png",
        "x.png",
    ],
)
def test_what_is_no_id_is_not_found(name: str, tmp_path: Path) -> None:
    (tmp_path / kept_media.FOLDER).mkdir(parents=True)
    for there in (f"{'a' * 32}.html", "x.png"):
        (tmp_path / kept_media.FOLDER / there).write_text("x")
    assert kept_media.found(tmp_path, name) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (tmp_path / kept_media.FOLDER).mkdir(parents=True)
    (tmp_path / kept_media.FOLDER / f"{'a' * 32}.png").symlink_to(secret)
    assert kept_media.found(tmp_path, f"{'a' * 32}.png") is None
    assert kept_media.found(Path("nowhere"), f"{'a' * 32}.png") is None
