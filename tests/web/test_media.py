"""Media over HTTP: sets and their samples, uploads, and what is kept with results."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.web_api import Api, keep, serving

from pytest_llamaburn import kept_media
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.web import media_routes, uploads
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

RAW = {"content-type": "application/octet-stream"}
pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path / "cache"))


async def begun(api: Api, modality: str) -> dict[str, Any]:
    answer = await api.post("/uploads", json={"modality": modality})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def sent(api: Api, upload: dict[str, Any], name: str, raw: bytes) -> httpx.Response:
    path = f"/uploads/{upload['id']}/files"
    return await api.post(path, params={"name": name}, content=raw, headers=RAW)


async def test_each_set_with_media_tells_what_a_form_needs_to_know(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        found = {one["name"]: one for one in (await api.get("/media-sets")).json()}
        schema = (await api.get("/schema/eval")).json()["properties"]
    shown = found["image_qa"]
    assert (shown["modality"], shown["kind"], shown["questions"]) == ("image", "image", 30)
    assert ".png" in shown["takes"]
    assert shown["asks"].startswith("What is in this image?")
    assert (found["tts"]["own"], found["tts"]["takes"]) == ("text", [])
    assert found["threejs_gen"]["needs"] == {"render": True}
    named = {name for one in found.values() for name in [*one["settings"], one["own"]] if name}
    assert named <= schema.keys()


async def test_samples_are_made_and_shown_with_the_type_of_their_content(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        params = {"offset": 2, "limit": 1}
        page = (await api.get("/media-sets/image_qa/samples", params=params)).json()
        (sample,) = page["samples"]
        image = await api.get(sample["media"][0]["path"])
        clear = (await api.get("/media-sets/audio_stt/samples")).json()["samples"][0]
        sound = await api.get(clear["media"][0]["path"])
        missing = await api.get("/media-sets/image_qa/media/colour-1/9")
        unknown = await api.get("/media-sets/image_q/samples")
    assert (page["total"], sample["reference"]) == (30, "blue")
    assert (image.headers["content-type"], image.content[:4]) == ("image/png", b"\x89PNG")
    assert image.headers["x-content-type-options"] == "nosniff"
    assert (sound.headers["content-type"], sound.content[:4]) == ("audio/ogg", b"OggS")
    assert missing.status_code == 404
    assert (unknown.status_code, "image_qa" in unknown.json()["detail"]) == (404, True)


async def test_media_of_results_are_found_by_their_ids_and_read_in_parts(tmp_path: Path) -> None:
    raw = clips.encode(levels.tone(440, 1, 16_000))
    name = kept_media.keep(tmp_path, raw, ".wav")
    keep(tmp_path, "eval-complete", "multimodal/media", "result")
    async with serving(tmp_path) as api:
        whole = await api.get(f"/media/{name}")
        part = await api.get(f"/media/{name}", headers={"range": "bytes=4-7"})
        beyond = await api.get(f"/media/{name}", headers={"range": f"bytes={len(raw)}-"})
        path = (await api.post(f"/media/{name}/tickets", json={})).json()["path"]
        bare = {"authorization": ""}
        played = await api.get(path, headers={**bare, "range": "bytes=-4"})
        over = await api.get("/tickets/none", headers=bare)
        others = [
            (await api.get(f"/media/{one}", headers=more)).status_code
            for one, more in (
                (name, bare),
                ("result.json", {}),
                (f"{'0' * 32}.wav", {}),
                (f"..%2F{name}", {}),
            )
        ]
    assert (whole.status_code, whole.content) == (200, raw)
    assert whole.headers["content-type"] == "audio/wav"
    assert whole.headers["accept-ranges"] == "bytes"
    assert "unsafe" not in whole.headers["content-security-policy"]
    assert (part.status_code, part.content) == (206, raw[4:8])
    assert beyond.status_code == 416
    assert (played.status_code, played.content) == (206, raw[-4:])
    assert (over.status_code, others) == (404, [401, 422, 404, 404])


async def test_a_ticket_ends(tmp_path: Path) -> None:
    tickets = media_routes.Tickets()
    first = tickets.give(tmp_path)
    assert tickets.path(first) == tmp_path
    names = [tickets.give(tmp_path) for _ in range(600)]
    assert tickets.path(first) is None  # the oldest goes where there are very many
    assert tickets.path(names[-1]) == tmp_path


@pytest.mark.parametrize(
    ("form", "begins"), [("mp3", b"\xff"), ("wav", b"RIFF"), ("flac", b"fLaC")]
)
async def test_sound_is_saved_in_another_format(form: str, begins: bytes, tmp_path: Path) -> None:
    name = kept_media.keep(tmp_path, clips.encode(levels.tone(440, 1, 16_000)), ".wav")
    async with serving(tmp_path) as api:
        answer = await api.get(f"/media/{name}", params={"format": form})
    assert answer.content.startswith(begins)
    assert clips.decode(answer.content, "it").seconds == pytest.approx(1, abs=0.1)
    assert answer.headers["content-disposition"].endswith(f'.{form}"')


async def test_what_cannot_be_saved_as_sound_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("audio", "reading and writing sound files")

    sound = kept_media.keep(tmp_path, clips.encode(levels.tone(440, 1, 16_000)), ".wav")
    image = kept_media.keep(tmp_path, b"picture", ".png")
    monkeypatch.setattr(clips, "soundfile_library", missing)
    async with serving(tmp_path) as api:
        refused = await api.get(f"/media/{image}", params={"format": "mp3"})
        without = await api.get(f"/media/{sound}", params={"format": "mp3"})
    assert refused.json()["detail"] == f"format: {image} is no sound"
    assert (without.status_code, "pytest-llamaburn[audio]" in without.json()["detail"]) == (
        422,
        True,
    )


async def test_files_of_a_client_become_questions_in_a_private_folder(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        upload = await begun(api, "image")
        names = ["../../a b.PNG", "c.jpg", "c.jpg"]
        numbers = [(await sent(api, upload, name, b"x")).json()["file"] for name in names]
        samples = [{"file": n, "reference": "red"} for n in numbers]
        samples[0] |= {"prompt": "What colour?", "reference": " "}
        path = f"/uploads/{upload['id']}/samples"
        described = await api.put(path, json={"samples": samples})
        folder = tmp_path / uploads.FOLDER / upload["id"]
        kept = sorted(one.name for one in folder.iterdir())
        entries = json.loads((folder / "manifest.json").read_text())
        modes = [one.stat().st_mode & 0o777 for one in (folder, folder.parent)]
        settings = {"set": ["image_qa"], "input": upload["setting"]}
        checked = (await api.post("/eval/check", json=settings)).json()
        await api.delete(f"/uploads/{upload['id']}")
        gone = await api.post("/eval/check", json=settings)
    assert described.status_code == 204
    assert kept == ["0.png", "1.jpg", "2.jpg", "manifest.json"]
    assert modes == [0o700, 0o700]
    assert entries == [
        {"id": "../../a b.PNG", "media": ["0.png"], "prompt": "What colour?"},
        {"id": "c.jpg (2)", "media": ["1.jpg"], "reference": "red"},
        {"id": "c.jpg (3)", "media": ["2.jpg"], "reference": "red"},
    ]
    assert f"--input={folder}" in checked["command"]
    assert not folder.exists()
    assert (gone.status_code, gone.json()["field"]) == (422, "input")


@pytest.mark.parametrize("value", ["upload:../x", "upload:0000000000000000", "upload:"])
async def test_a_client_names_no_folder(value: str, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    async with serving(tmp_path / "results") as api:
        refused = [
            await api.post("/eval/check", json={"set": ["image_qa"], name: value})
            for name in ("input", "device")
        ]
    assert [one.status_code for one in refused] == [422, 422]


async def test_uploads_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    monkeypatch.setattr(uploads, "MOST_BYTES", 10)
    monkeypatch.setattr(uploads, "MOST_SOUND_BYTES", 10)
    async with serving(tmp_path) as api:
        upload = await begun(api, "image")
        path = f"/uploads/{upload['id']}/files?name=a.png"
        answers = [
            await sent(api, upload, "a.svg", b"x"),
            await sent(api, upload, "a.png", b""),
            await sent(api, upload, "a.png", b"x" * 11),
            await api.post(path, json={}),
            await sent(api, upload, "a.png", b"x"),
            await sent(api, upload, "b.png", b"x"),
            await sent(api, upload, "c.png", b"x"),
            await api.put(f"/uploads/{upload['id']}/samples", json={"samples": [{"file": 7}]}),
            await api.post(f"/uploads/{upload['id']}/sound", content=b"", headers=RAW),
            await api.post("/uploads", json={"modality": "threejs"}),
            await api.post("/uploads", json={"modality": "smell"}),
        ]
        heard = await begun(api, "live")
        sound = f"/uploads/{heard['id']}/sound"
        answers += [
            await sent(api, heard, "a.png", b"x"),
            await api.post(sound, content=b"x" * 11, headers=RAW),
        ]
        for _ in range(uploads.MOST_UPLOADS - 2):
            await begun(api, "image")
        answers.append(await api.post("/uploads", json={"modality": "image"}))
    codes = [one.status_code for one in answers]
    assert codes == [422, 422, 413, 415, 201, 201, 413, 422, 422, 422, 422, 422, 413, 409]
    assert not (tmp_path / uploads.FOLDER).exists()  # the server has ended


async def test_a_file_of_a_hundred_megabytes_is_refused_whole(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        upload = await begun(api, "image")
        answer = await sent(api, upload, "a.png", bytes(100_000_000))
        assert [*(tmp_path / uploads.FOLDER / upload["id"]).iterdir()] == []
    assert (answer.status_code, "64,000,000" in answer.json()["detail"]) == (413, True)


async def test_sound_is_appended_in_order_and_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        upload = await begun(api, "live")
        path = f"/uploads/{upload['id']}/sound"
        for part in (b"ab", b"cd"):
            await api.post(path, content=part, headers=RAW)
        await api.post(path, params={"last": "true"}, content=b"", headers=RAW)
        folder = tmp_path / uploads.FOLDER / upload["id"]
        assert (folder / "sound.pcm").read_bytes() == b"abcd"
        assert (folder / "sound.pcm.end").exists()
        settings = {"live_audio": True, "device": upload["setting"]}
        command = (await api.post("/eval/check", json=settings)).json()["command"]
    assert f"--device=stream:{folder / 'sound.pcm'}" in command


async def test_an_upload_is_removed_when_its_job_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = uploads.Uploads(tmp_path)
    used, idle = found.begin([".png"]), found.begin([".png"])
    left = tmp_path / uploads.FOLDER / "0123456789abcdef"  # of an earlier server
    left.mkdir()
    found.sweep([f"llamaburn eval --input={used}"])
    folders = sorted(one.name for one in (tmp_path / uploads.FOLDER).iterdir())
    assert folders == sorted([used, idle])
    found.sweep([])
    assert [one.name for one in (tmp_path / uploads.FOLDER).iterdir()] == [idle]
    monkeypatch.setattr(uploads, "IDLE_S", -1)
    found.sweep([])
    assert [*(tmp_path / uploads.FOLDER).iterdir()] == []
    with pytest.raises(Refusal, match="there is no such upload"):
        found.remove(used)


async def test_a_results_directory_that_cannot_be_written_refuses_uploads(tmp_path: Path) -> None:
    found = uploads.Uploads(tmp_path)
    upload, heard = found.begin([".png"]), found.begin([])
    for one in (upload, heard):
        folder = tmp_path / uploads.FOLDER / one
        for name in ("0.png", "sound.pcm"):
            (folder / name).unlink(missing_ok=True)
            (folder / name).mkdir()
    with pytest.raises(Refusal, match="cannot be written"):
        found.add(upload, "a.png", b"x")
    with pytest.raises(Refusal, match="cannot be written"):
        found.hear(heard, b"x", last=False)
    found.clear()
    (tmp_path / uploads.FOLDER).write_text("in the way")
    with pytest.raises(Refusal, match="cannot be written"):
        found.begin([".png"])


async def test_what_a_job_tells_of_its_answers_is_streamed_and_kept(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        heard: list[str] = []

        async def listen() -> None:
            async for part in api.service.bus.follow(None):
                heard.append(part)  # noqa: PERF401 - it is read while it grows

        listening = asyncio.create_task(listen())
        job = (await api.pull("tells")).json()
        over = await api.over(job["id"])
        told = (await api.get(f"/jobs/{job['id']}/told")).json()
        listening.cancel()
    assert told == [{"event": "answered", "question": "q", "answer": "red"}]
    assert [part for part in heard if "event: told" in part and "red" in part]
    assert "red" not in str(over["lines"])


async def test_the_digest_of_what_is_kept_is_its_name(tmp_path: Path) -> None:
    name = kept_media.keep(tmp_path, b"picture", ".png")
    assert name == f"{hashlib.sha256(b'picture').hexdigest()[:32]}.png"
