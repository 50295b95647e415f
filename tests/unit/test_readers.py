"""Directories of media: what each layout gives, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from support import clips
from support.refusals import refusal

from pytest_llamaburn import media_sets, modalities
from pytest_llamaburn.audio import clips as sounds
from pytest_llamaburn.audio import levels
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.scorers import choice

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.evalsets import EvalSet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    picture(path / "red.png")
    return path


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), "red").save(path)


def of(folder: Path, name: str = "image_qa") -> EvalSet:
    return media_sets.load(name, str(folder))


def refused(folder: Path, name: str = "image_qa") -> str:
    return refusal(DatasetError, media_sets.load, name, str(folder))


def test_text_files_are_references_and_folders_categories(folder: Path) -> None:
    (folder / "red.txt").write_text("red\n")
    picture(folder / "cats" / "tom.png")
    (folder / "cats" / "tom.txt").write_text("a cat")
    tom, red = of(folder).questions
    assert (tom.id, tom.category, tom.reference) == ("cats/tom.png", "cats", "a cat")
    assert (red.category, red.reference, red.scorer) == ("custom", "red", "vqa")


def test_without_references_only_judges_can_score(folder: Path) -> None:
    (question,) = of(folder).questions
    assert (question.reference, question.scorer) == (None, None)


def test_reference_without_an_image_is_listed(folder: Path) -> None:
    (folder / "gone.txt").write_text("gone")
    assert "each matches no medium: gone" in refused(folder)


def test_image_without_a_reference_is_listed_if_others_have_one(folder: Path) -> None:
    (folder / "red.txt").write_text("red")
    picture(folder / "more.png")
    assert "1 medium" in refused(folder)
    assert "has no text file beside it: more" in refused(folder)


def test_empty_reference_is_refused(folder: Path) -> None:
    (folder / "red.txt").write_text(" \n")
    assert "red.txt is empty: write the reference in it" in refused(folder)


def test_directory_without_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("none")
    assert "has no .bmp" in refused(tmp_path)
    assert "is no directory" in refused(tmp_path / "notes.md")
    assert "does not exist" in refused(tmp_path / "gone")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "and no manifest: add some" in refused(empty)


def test_set_without_media_is_refused(folder: Path) -> None:
    assert "factual has no media: name a set that has" in refused(folder, "factual")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", json.dumps({"questions": [{"image": "red.png", "answer": "red"}]})),
        ("manifest.json", json.dumps([{"media": ["red.png"], "reference": "red"}])),
        ("manifest.jsonl", json.dumps({"file": "red.png", "answer": "red"})),
        ("metadata.jsonl", json.dumps({"file_name": "red.png", "text": "red"})),
        ("metadata.csv", "file_name,caption\nred.png,red\n"),
    ],
)
def test_manifest_is_read_under_the_names_of_other_tools(
    folder: Path, name: str, content: str
) -> None:
    (folder / name).write_text(content)
    (question,) = of(folder).questions
    assert (question.reference, question.scorer) == ("red", "vqa")
    assert question.media[0]["path"] == str(folder / "red.png")


def test_missing_files_of_a_manifest_are_listed(folder: Path) -> None:
    (folder / "manifest.csv").write_text("media,prompt\na.png,what?\nred.png,what?\nb.png,what?\n")
    assert "2 files that the references" in refused(folder)
    assert "do not exist: a.png, b.png" in refused(folder)
    many = "".join(f"{n}.png,what?\n" for n in range(12))
    (folder / "manifest.csv").write_text(f"media,prompt\n{many}")
    assert "9.png and 2 more" in refused(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"questions": 3}', "questions: is missing: write a list of rows"),
        ("[3]", "[0]: should have fields, but is 3"),
        ('[{"prompt": "what?"}]', "names no media: give it a field 'media'"),
        ('[{"media": 3}]', "names no media"),
        ('[{"media": "red.png", "prompt": "what?", "colour": 1}]', "colour: extra inputs"),
    ],
)
def test_manifest_that_is_wrong_names_the_row(folder: Path, content: str, words: str) -> None:
    (folder / "manifest.json").write_text(content)
    assert words in refused(folder)


def test_coco_captions_are_one_question_for_each_image(folder: Path) -> None:
    notes = [{"image_id": 7, "caption": "A red wall. "}, {"image_id": 7, "caption": "All red."}]
    content = {"images": [{"id": 7, "file_name": "red.png"}], "annotations": notes}
    (folder / "annotations").mkdir()
    (folder / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    (question,) = of(folder, "image_describe").questions
    assert (question.reference, question.options["accept"]) == ("A red wall.", ["All red."])
    assert question.rubric is not None
    assert question.scorer is None
    (folder / "annotations" / "captions_val2017.json").write_text('{"images": []}')
    assert "is no file of COCO captions: 'annotations' is missing" in refused(folder)


def test_vqa_questions_get_the_answers_of_ten_people(folder: Path) -> None:
    picture(folder / "val2014" / "COCO_val2014_000000000042.jpg")
    asked = {"questions": [{"question_id": 9, "image_id": 42, "question": "Which colour?"}]}
    note = {
        "question_id": 9,
        "multiple_choice_answer": "red",
        "answer_type": "other",
        "answers": [{"answer": "red"}] * 9 + [{"answer": "pink"}],
    }
    (folder / "v2_OpenEnded_questions.json").write_text(json.dumps(asked))
    (folder / "v2_annotations.json").write_text(json.dumps({"annotations": [note]}))
    (question,) = of(folder).questions
    assert question.prompt.startswith("Which colour? Answer with one word")
    assert (question.scorer, question.options["answers"][-1]) == ("vqa", "pink")
    assert question.media[0]["path"].endswith("val2014/COCO_val2014_000000000042.jpg")
    (folder / "v2_annotations.json").write_text('{"annotations": 3}')
    assert "is no file of VQAv2" in refused(folder)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: b"", "is empty (0 bytes)"),
        (lambda raw: raw[: len(raw) // 2], "cannot be decoded"),
        (lambda raw: b"no image at all", "it is no image"),
    ],
)
def test_damaged_image_is_named_by_the_check(folder: Path, damage: object, words: str) -> None:
    path = folder / "red.png"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    (question,) = of(folder).questions
    assert words in refusal(DatasetError, modalities.check, question.media)


def test_digest_of_a_set_is_that_of_its_images_not_of_their_places(folder: Path) -> None:
    (folder / "red.txt").write_text("red")
    before = of(folder)
    moved = folder.rename(folder.with_name("moved"))
    assert of(moved).sha256 == before.sha256
    Image.new("RGB", (40, 30), "blue").save(moved / "red.png")
    assert of(moved).sha256 != before.sha256
    assert of(moved).questions[0].sha256 != before.questions[0].sha256


def test_set_with_media_needs_a_known_modality(tmp_path: Path) -> None:
    asked = {"id": "a", "prompt": "b", "media": ["red.png"]}
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"name": "own", "questions": [asked]}))
    assert "modality: is missing: " in refusal(DatasetError, load_eval_set, path)
    path.write_text(json.dumps({"name": "own", "modality": "smell", "questions": [asked]}))
    assert "unknown modality 'smell'" in refusal(DatasetError, load_eval_set, path)


MME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Temporal Perception",
    "question": "What comes first?",
    "options": ["A. A dog.", "B. A cat.", "C. A hen.", "D. A cow."],
    "answer": "C",
}


def mme(folder: Path, name: str, content: object) -> Path:
    """A directory with a video, and a file of questions about it."""
    from pyarrow import Table, parquet

    clips.colours(folder / "data" / "fFjv93ACGo8.mp4", "red")
    (folder / name).parent.mkdir(exist_ok=True)
    if name.endswith("parquet"):
        assert isinstance(content, list)
        parquet.write_table(Table.from_pylist(content), folder / name)
    else:
        (folder / name).write_text(json.dumps(content))
    return folder


NESTED = {"video_id": "fFjv93ACGo8", "duration": "short", "questions": [MME]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("videomme/test-00000-of-00001.parquet", [MME]),
        ("mme.json", [MME]),
        ("videos.json", [NESTED]),
    ],
)
def test_questions_of_video_mme_have_four_choices_and_their_video(
    tmp_path: Path, name: str, content: object
) -> None:
    (question,) = of(mme(tmp_path, name, content), "video_mme").questions
    assert question.prompt.splitlines()[:3] == ["What comes first?", "", "A) A dog."]
    assert (question.id, question.scorer, question.reference) == ("001-1", "choice", "A hen.")
    assert question.options["choices"] == ["A dog.", "A cat.", "A hen.", "A cow."]
    assert (question.category, question.options["temporal"]) == ("Temporal Perception", True)
    assert question.options["level"] == "short"
    assert question.media[0]["path"] == str(tmp_path / "data" / "fFjv93ACGo8.mp4")
    assert choice.score("C", question).correct is True
    assert choice.score("A", question).correct is False


def test_videos_that_video_mme_names_and_are_not_there_are_listed(tmp_path: Path) -> None:
    other = {**MME, "videoID": "gone", "task_type": "Object Recognition"}
    words = refused(mme(tmp_path, "mme.json", [MME, other]), "video_mme")
    assert "do not exist" not in words
    assert "1 file that the references" in words
    assert "does not exist: gone.mp4" in words


@pytest.mark.parametrize("wrong", [{"options": []}, {"answer": "X"}, {"options": 3}])
def test_a_question_of_video_mme_that_is_wrong_is_named(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    words = refused(mme(tmp_path, "mme.json", [MME, {**MME, **wrong}]), "video_mme")
    assert "mme.json: [1]: is no question of Video-MME" in words


def test_other_files_beside_media_are_no_questions(tmp_path: Path) -> None:
    folder = mme(tmp_path, "notes.json", {"a": 1})
    (folder / "broken.json").write_text("{")
    (folder / "list.json").write_text("[3]")
    (question,) = of(folder, "video_mme").questions
    assert (question.id, question.category) == ("data/fFjv93ACGo8.mp4", "data")
    (folder / "test.parquet").write_bytes(b"no table")
    assert "test.parquet: is not Parquet" in refused(folder, "video_mme")


def heard(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sounds.write(levels.tone(440, 0.1, 16_000), path)


def test_librispeech_is_one_question_for_each_line_of_a_chapter(tmp_path: Path) -> None:
    chapter = tmp_path / "84" / "121123"
    heard(chapter / "84-121123-0000.flac")
    heard(chapter / "84-121123-0001.wav")
    lines = "84-121123-0000 GO DO YOU HEAR\n\n84-121123-0001 BUT IN LESS THAN FIVE MINUTES\n"
    (chapter / "84-121123.trans.txt").write_text(lines)
    one, two = of(tmp_path, "audio_stt").questions
    assert (one.id, one.reference, one.category) == ("84-121123-0000", "GO DO YOU HEAR", "84")
    assert two.media[0]["path"].endswith("84-121123-0001.wav")
    assert (one.scorer, one.options["max_wer"]) == ("wer", 0.1)
    (chapter / "84-121123.trans.txt").write_text(f"{lines}84-121123-0002 GONE\n")
    said = refused(tmp_path, "audio_stt")
    assert "1 file that the references of" in said
    assert "84/121123/84-121123-0002.flac" in said
    (chapter / "84-121123.trans.txt").write_text("84-121123-0000\n")
    assert "trans.txt: line 1: should have a name and a transcript" in refused(
        tmp_path, "audio_stt"
    )
    (chapter / "84-121123.trans.txt").write_bytes(b"84-121123-0000 \xff\xfe\x00")
    assert "cannot be read" in refused(tmp_path, "audio_stt")


COLUMNS = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\n"


def test_common_voice_is_one_question_for_each_row(tmp_path: Path) -> None:
    heard(tmp_path / "clips" / "a.mp3")
    heard(tmp_path / "clips" / "b.mp3")
    rows = 'x\ta.mp3\tEr sagte "ja".\t2\t0\t\tfemale\t\tde\nx\tb\tGuten Tag!\t2\t0\t\t\t\t\n'
    (tmp_path / "train.tsv").write_text(COLUMNS)
    (tmp_path / "validated.tsv").write_text(COLUMNS + rows)
    one, two = of(tmp_path, "audio_stt").questions
    assert (one.reference, one.category) == ('Er sagte "ja".', "female")
    assert one.options == {"max_wer": 0.1, "language": "de"}
    assert two.media[0]["path"].endswith("clips/b.mp3")
    (tmp_path / "clips" / "b.mp3").unlink()
    assert "does not exist: clips/b.mp3" in refused(tmp_path, "audio_stt")
    (tmp_path / "validated.tsv").write_text(f"{COLUMNS}x\ta.mp3\t\n")
    assert "line 2: should have a path and a sentence" in refused(tmp_path, "audio_stt")
    (tmp_path / "validated.tsv").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused(tmp_path, "audio_stt")


def test_json_lines_are_read_with_the_columns_of_data_sets(folder: Path) -> None:
    rows = [
        {"image": {"path": "red.png", "bytes": None}, "question": "What colour?", "label": 3}
        | {"answers": {"text": ["red", "crimson"], "answer_start": [0]}},
        {"image": "red.png", "question": "Which?", "answers": [], "answer": "red", "id": 7},
    ]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "train.jsonl").write_text("not read")
    one, two = of(folder).questions
    assert (one.prompt, one.reference, one.options["accept"]) == (
        "What colour?",
        "red",
        ["crimson"],
    )
    assert (two.id, two.reference) == ("7", "red")
    (folder / "test.jsonl").write_text(json.dumps({"image": {"path": "gone.png"}}))
    assert "does not exist: gone.png" in refused(folder)
    (folder / "test.jsonl").write_text(json.dumps({"image": {"bytes": "iVBO"}}))
    assert "names no media" in refused(folder)


def test_which_json_lines_are_meant_must_be_clear(folder: Path) -> None:
    (folder / "a.jsonl").write_text(json.dumps({"image": "red.png", "caption": "red"}))
    assert [one.reference for one in of(folder).questions] == ["red"]
    (folder / "b.jsonl").write_text("{}")
    assert "has several .jsonl files: a.jsonl, b.jsonl: rename the one" in refused(folder)
