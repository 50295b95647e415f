"""The tab Multi-Modal with real parts: an engine that sees colours, Whisper, a microphone.

Chromium's fake microphone says two sentences again and again.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import colour_projector
from support.scripted import ScriptedServer
from support.served import serving
from support.sound_peer import SoundPeer
from support.web_api import keep

from pytest_llamaburn import kept_media
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.audio.clips import clip_of
from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.web import bundle

playwright: Any = pytest.importorskip("playwright.sync_api")
expect: Any = playwright.expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page
    from support.served import Served

AXE = bundle.SOURCES / bundle.INSTALLED / "axe-core" / "axe.min.js"
ASK = """async () => {
    const {violations} = await axe.run(document, {iframes: false, resultTypes: ['violations']});
    return violations.map(({id, nodes}) => `${id}: ${nodes.map((one) => one.html).join(' ')}`);
}"""
SPOKEN = Path(__file__).parents[2] / "media_sets" / "audio_stt"
STRANGE = "bench.example"  # a name of this machine over which no browser gives a microphone
NARROW_DARK: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
PATIENCE_MS = 180_000  # for a whole run on a machine that does much else


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the engine's projector in its settings, and what the microphone hears."""
    found = tmp_path_factory.mktemp("media")
    projector = found / "seeing.gguf"
    colour_projector.write(_catalogue.fetch("smollm2-135m"), projector)
    (found / "llamaburn.toml").write_text(f'[defaults]\nmmproj = "{projector}"\n')
    pause = np.zeros(48_000, np.float32)
    spoken = [clips.read(SPOKEN / f"clear-{n}.ogg").with_rate(48_000).mono for n in (1, 2)]
    heard = np.concatenate([pause, spoken[0], pause, spoken[1]])
    clips.write(clip_of(heard, 48_000), found / "microphone.wav")
    return found


@pytest.fixture(scope="module")
def flags(home: Path) -> tuple[str, ...]:
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={home / 'microphone.wav'}",
        f"--host-resolver-rules=MAP {STRANGE} 127.0.0.1",
    )


@pytest.fixture(scope="module")
def served(browser: Browser, home: Path) -> Iterator[Served]:
    own = {"OLLAMA_HOST": "http://127.0.0.1:9", "TMPDIR": str(home)}  # and so its own lock
    with serving(home, f"--trusted-host={STRANGE}", **own) as found:
        yield found


@pytest.fixture
def tab(served: Served, opened: Callable[..., Page]) -> Page:
    """The tab, on a telephone and in the dark."""
    page = opened(served, "#/multi-modal", **NARROW_DARK)
    page.set_default_timeout(PATIENCE_MS)
    return page


def form(page: Page) -> None:
    """Show the form, which is hidden where a run is shown."""
    asked = page.get_by_label("What to ask about")
    button = page.get_by_role("button", name="New multi-modal eval")
    asked.or_(button).first.wait_for()
    if button.is_visible():
        button.click()


def choose(page: Page, choice: str, model: str) -> None:
    form(page)
    page.get_by_label("What to ask about").select_option(choice)
    page.get_by_label("Another model").fill(model)
    page.get_by_role("button", name="Add").click()


def violations(page: Page) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(ASK)
    return found


def narrow(page: Page) -> bool:
    """Return whether nothing is wider than the telephone."""
    found: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return found


def over(served: Served, count: int) -> dict[str, Any]:
    """Return the newest job once there are so many and it is over."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while True:
        found = served.client.get("/jobs").json()
        if found["total"] == count and found["jobs"][0]["ended"]:
            job: dict[str, Any] = found["jobs"][0]
            assert job["exit_code"] == 0, job["lines"]
            return job
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def newest(home: Path, modality: str) -> dict[str, Any]:
    paths = sorted((home / "results" / "multimodal" / modality).glob("*.json"))
    found: dict[str, Any] = json.loads(paths[-1].read_text())
    return found


def test_dropped_images_are_asked_about_and_stand_beside_their_answers(
    tab: Page, served: Served, home: Path
) -> None:
    from PIL import Image

    before = served.client.get("/jobs").json()["total"]
    choose(tab, "files-image_qa", "smollm2-135m")
    for name in ("red", "blue"):
        rgb = tuple(255 * part for part in colour_projector.CORNERS[name])
        Image.new("RGB", (96, 64), rgb).save(home / f"{name}.png")
        (home / f"{name}.txt").write_text(name)
    files = [
        str(home / f"{name}.{suffix}") for name in ("red", "blue") for suffix in ("png", "txt")
    ]
    tab.get_by_label("Choose files").set_input_files([*files, str(home / "microphone.wav")])
    expect(tab.get_by_text("It is not taken: .bmp")).to_be_visible()
    expect(tab.get_by_label("Right answer: blue.png")).to_have_value("blue")
    for name in ("red", "blue"):
        tab.get_by_label(f"Question: {name}.png").fill("The picture shows the color")
    command = tab.get_by_label("Equal command", exact=True)
    expect(command).to_contain_text("--input=results/.uploads/", timeout=PATIENCE_MS)
    assert violations(tab) == []
    assert narrow(tab)
    tab.locator("summary", has_text="More settings").click()
    tab.get_by_label("Max tokens").fill("8")
    tab.get_by_label("Warmup").fill("0")
    tab.get_by_role("button", name="Start", exact=True).click()
    sample = tab.get_by_role("img", name="image of question red.png")
    expect(sample).to_be_visible(timeout=PATIENCE_MS)
    job = over(served, before + 1)
    served.wait("/health", lambda _: not [*(home / "results").glob(".uploads/*")])
    told = served.client.get(f"/jobs/{job['id']}/told").json()
    answers = [one["answer"] for one in told if one["event"] == "answered"]
    assert ["red" in answers[0], "blue" in answers[1]] == [True, True]
    items = newest(home, "image")["results"]["items"]
    for item in items:
        (medium,) = item["media"]
        raw = served.client.get(f"/media/{medium['id']}").content
        assert raw == (home / item["question"]["id"]).read_bytes()


def test_zoom_is_used_by_keyboard_alone(tab: Page) -> None:
    form(tab)
    tab.get_by_label("What to ask about").select_option("image_qa")
    zoom = tab.get_by_role("button", name="Zoom: image 1 of sample colour-3")
    zoom.focus()
    tab.keyboard.press("Enter")
    dialog = tab.get_by_role("dialog", name="image 1 of sample colour-3")
    image = dialog.get_by_role("img")
    expect(image).to_be_visible()
    fits = image.bounding_box()
    tab.keyboard.press("+")
    expect(dialog.get_by_role("status")).to_have_text("200 %")
    larger = image.bounding_box()
    assert fits
    assert larger
    assert larger["width"] == 640 > fits["width"]
    assert violations(tab) == []
    tab.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(zoom).to_be_focused()


def test_speech_into_the_microphone_becomes_text(tab: Page, served: Served, home: Path) -> None:
    before = served.client.get("/jobs").json()["total"]
    choose(tab, "microphone-audio_events", "whisper:tiny.en")
    tab.get_by_label("Reference").fill("The library opens at nine in the morning.")
    tab.get_by_role("button", name="Start", exact=True).click()
    expect(tab.get_by_text("listening: speak now")).to_be_visible(timeout=PATIENCE_MS)
    expect(tab.get_by_role("img", name="Waveform of the microphone")).to_be_visible()
    text = tab.get_by_role("list", name="Text")
    # The device plays its file again and again, and may begin in the middle.
    expect(text).to_contain_text("library opens", timeout=PATIENCE_MS)
    assert violations(tab) == []
    tab.get_by_role("button", name="Stop listening").click()
    over(served, before + 1)
    (item,) = newest(home, "live")["results"]["items"]
    measured = item["measured"]
    assert "library" in item["answer"]
    recording = served.client.get(f"/media/{measured['recording_id']}").content
    seconds = clips.decode(recording, "the recording").seconds
    assert seconds == pytest.approx(measured["audio_seconds"])
    assert seconds >= measured["stretches"][0]["end_s"]
    served.wait("/health", lambda _: not [*(home / "results").glob(".uploads/*")])


def test_music_plays_in_the_page_and_is_saved_as_wav_and_mp3(
    tab: Page, served: Served, home: Path
) -> None:
    before = served.client.get("/jobs").json()["total"]
    with ScriptedServer(SoundPeer(music=levels.tone(220, 2, 24_000))) as peer:
        choose(tab, "text-music", "sound")
        tab.get_by_label("Prompt", exact=True).fill("upbeat jazz")
        tab.get_by_label("Duration").fill("2s")
        tab.locator("summary", has_text="More settings").click()
        tab.get_by_label("Host", exact=True).fill(f"{peer.host}/v1")
        tab.get_by_label("Backend", exact=True).select_option("openai")
        tab.get_by_label("Warmup").fill("0")
        tab.get_by_role("button", name="Start", exact=True).click()
        over(served, before + 1)
    (path,) = (home / "results" / "multimodal" / "music").glob("*.json")
    tab.goto(f"{served.url}/#/results")
    tab.get_by_label("Look at a file").set_input_files(str(path))
    tab.locator(".questions summary").first.click()
    player = tab.get_by_label("sound of the answer to prompt", exact=True)
    expect(player).to_be_visible()
    tab.wait_for_function("() => document.querySelector('audio')?.duration > 1.9")
    expect(tab.get_by_role("img", name="Waveform, 2 s")).to_be_visible()
    for form in ("WAV", "MP3"):
        with tab.expect_download() as saving:
            tab.get_by_role("button", name=f"Download {form}").click()
        saved = clips.decode(Path(saving.value.path()).read_bytes(), form)
        assert saved.seconds == pytest.approx(2, abs=0.1)
        assert levels.frequency_hz(saved) == pytest.approx(220, abs=2)
    assert violations(tab) == []
    assert narrow(tab)


def test_a_video_has_a_mark_for_each_frame_that_the_model_saw(
    tab: Page, served: Served, home: Path
) -> None:
    av = pytest.importorskip("av")
    path = home / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * shade, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    name = kept_media.Keeper(home / "results").of_file(path)
    result = keep(home / "results", "eval-complete", "evals", "filmed")
    document = json.loads(result.read_text())
    seen = {"kind": "video", "id": name, "seconds": 3.0, "frames": [0.0, 1.0, 2.0]}
    document["results"]["items"][0]["media"] = [seen]
    result.write_text(json.dumps(document))
    tab.goto(f"{served.url}/#/results/evals/filmed")
    tab.locator(".questions summary").first.click()
    expect(tab.get_by_text("the model saw 3 frames")).to_be_visible()
    tab.wait_for_function("() => document.querySelector('video')?.readyState >= 2")
    assert tab.locator(".marks .mark").count() == 3
    tab.get_by_text("Frames that the model saw").click()
    tab.get_by_role("button", name="Go to 2 s").click()
    tab.wait_for_function("() => document.querySelector('video')?.currentTime === 2")
    assert violations(tab) == []


def test_where_the_microphone_is_off_the_page_says_why(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, wrong=True)
    port = served.url.rpartition(":")[2]
    strange = f"http://{STRANGE}:{port}/"
    page.goto(strange + served.address.rpartition("/")[2])
    page.get_by_role("tablist").wait_for()
    page.goto(f"{strange}#/multi-modal")
    form(page)
    page.get_by_label("What to ask about").select_option("microphone-audio_events")
    expect(page.get_by_role("alert")).to_contain_text("browsers give it only to pages of this")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "The browser refused the microphone: allow it"),
        ("NotFoundError", "There is no microphone: connect one"),
    ],
)
def test_a_microphone_that_does_not_open_says_why(
    name: str, words: str, served: Served, opened: Callable[..., Page], home: Path
) -> None:
    page = opened(served, "#/multi-modal")
    page.evaluate(
        "(name) => { navigator.mediaDevices.getUserMedia = "
        "() => Promise.reject(new DOMException('', name)); }",
        name,
    )
    choose(page, "microphone-audio_events", "whisper:tiny.en")
    before = served.client.get("/jobs").json()["total"]
    kept = {*(home / "results").glob(".uploads/*")}
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(words)
    assert served.client.get("/jobs").json()["total"] == before
    # The page says why before it gives the upload up.
    served.wait("/health", lambda _: {*(home / "results").glob(".uploads/*")} <= kept)
