"""Settings of an eval."""

from __future__ import annotations

from pytest_llamaburn.kinds._sharing import Sharing, cluster, machines
from pytest_llamaburn.option import opt, words
from pytest_llamaburn.settings import Audio, Judging, Run, Searching, Showing


class Eval(Run, Judging, Searching, Showing, Sharing, Audio):
    """Settings of `llamaburn eval`."""

    set: tuple[str, ...] = opt(
        ("general_knowledge",),
        "eval set: a built-in name, or a JSON, JSONL or CSV file; repeatable, with one result file "
        "per set",
        scope="eval",
        bounds={"min_length": 1},
    )
    input: str | None = opt(
        None,
        "directory with your own media, which replace those of the set; their references are in a "
        "manifest, or in a text file of the same name beside each",
        path=True,
        example="images",
    )
    audio_api: str = opt(
        "auto",
        "how recordings are sent: transcriptions (/v1/audio/transcriptions), chat (input_audio), "
        "or auto (transcriptions for questions that WER or CER scores)",
        choices=words("auto", "chat", "transcriptions"),
    )
    stt_format: str = opt(
        "json",
        "format of transcriptions to request: json, verbose_json or text",
        choices=words("json", "verbose_json", "text"),
    )
    language: str | None = opt(
        None, "language of the speech, which is sent to the server", example="en"
    )
    voice: str = opt("alloy", "name of the voice for generated speech")
    speech_format: str = opt(
        "wav",
        "format of generated speech to request; pcm has 24,000 16-bit samples per second",
        choices=words("wav", "mp3", "flac", "pcm"),
    )
    music_path: str = opt(
        "/sound-generation", "path of the server's API that generates music and sounds"
    )
    music_by: str = opt(
        "auto",
        "how music is asked for: endpoint (the server sends sound), abc (a model of text writes "
        "ABC notation, which is rendered), or auto (abc unless the server has the endpoint)",
        choices=words("auto", "endpoint", "abc"),
    )
    abc_grammar: bool = opt(
        True,
        "have the server hold music to the grammar of ABC notation, where it can: llama.cpp by a "
        "grammar, Ollama by a schema",
    )
    text: str | None = opt(
        None,
        "a text to speak, instead of a set",
        scope="eval",
        example="Hello world",
    )
    prompt: str | None = opt(
        None,
        "a description of music or sound to generate, instead of a set",
        scope="eval",
        example="upbeat jazz",
    )
    live_audio: bool = opt(
        False, "transcribe what an input device hears, instead of a set", scope="eval"
    )
    device: str | None = opt(
        None,
        "input device of --live-audio: its name, a part of it, or default; or stream:FILE, a file "
        "to which another program appends 16-bit samples, mono, 16 kHz",
        scope="eval",
        example="default",
    )
    reference: str | None = opt(
        None,
        "reference text of --live-audio: text, or @FILE; the WER is computed against it",
        scope="eval",
        example="Good morning, everyone.",
    )
    duration: float | None = opt(
        None,
        "duration of generated music (default: 10 s), or of live audio (default: 60 s)",
        unit="s",
        scope="eval",
        bounds={"gt": 0, "le": 3600},
        example="30s",
    )
    save_audio: str | None = opt(
        None,
        "file for generated speech or music; --output FILE.wav means the same",
        path=True,
        example="speech.wav",
    )
    limit: int | None = opt(
        None,
        "number of questions to ask from a set: always the same ones, balanced over its categories",
        bounds={"ge": 1},
        example=20,
    )
    system_prompt: str | None = opt(
        None,
        "system prompt, which replaces that of the set: text, or @FILE",
        example="Answer in one sentence.",
    )
    few_shot: int = opt(0, "number of solved examples before each question", bounds={"ge": 0})
    examples: str | None = opt(
        None,
        "eval set whose solved questions --few-shot shows, such as a dev split; they replace the "
        "examples of the set",
        example="dev.jsonl",
    )
    structured: str = opt(
        "auto",
        "how a model gets the tools of questions and the schema of its answer: server (in the "
        "request: the server may hold the model to them), prompt (only as text), or auto (tools in "
        "the request, schemas as text)",
        choices=words("auto", "server", "prompt"),
    )
    vary: str | None = opt(
        None,
        "ask all questions once with each value of a setting, in files of their own, and compare "
        "the answers, such as think=off,on or structured=prompt,server; the first value is the "
        "baseline",
        scope="eval",
        example="think=off,on",
    )
    choice_by: str = opt(
        "text",
        "how the choice of an answer is found: from its text, or as the letter with the highest "
        "probability (logprob)",
        choices=words("text", "logprob"),
    )
    rescore: str | None = opt(
        None,
        "result file whose answers are scored again; no model is asked",
        path=True,
        example="results/evals/earlier.json",
    )
    render: bool = opt(
        False,
        "render generated code for three.js, WebGL or WebGPU in a browser, without network",
    )
    samples: int = opt(
        1, "number of answers to each question, for pass@k", bounds={"ge": 1, "le": 10_000}
    )
    pass_k: int | None = opt(
        None,
        "k of pass@k, the probability that at least one of k answers is right",
        bounds={"ge": 1},
        example=1,
    )
    criteria: str | None = opt(
        None,
        "criteria for every answer, such as accuracy,faithfulness; they replace those of the set",
        scope="eval",
        example="accuracy,faithfulness",
    )
    pairwise: bool = opt(
        False, "have judges compare the answers with those of --compare-to instead of scoring them"
    )
    compare_to: str | None = opt(
        None,
        "the opponent of --pairwise: a model, or a result file with its answers",
        path=True,
        example="results/evals/other.json",
    )
    cache_answers: bool = opt(
        True, "reuse the answer of an earlier run with the same model, question and options"
    )
    max_tokens: int | None = opt(  # type: ignore[assignment]  # None: by what the model can do
        None,
        "maximum length of an answer, thinking included (default: 512; up to 4096 for a model that "
        "thinks, and with --render)",
        unit="tokens",
        scope="eval",
        bounds={"ge": 1},
        example=1024,
    )
    cache: str = opt(
        "none",
        "prompt cache: none (the question unchanged) or bust (a new prefix for each request)",
        scope="eval",
        choices=words("none", "bust"),
    )
    ray: str | None = cluster(resume=True)
    nodes: int | None = machines(resume=True)
    threshold: tuple[str, ...] = opt(
        (),
        "a gate, such as 'accuracy.mean>=4', 'correct.mean>0.8' or 'win_rate>0.5'; repeatable",
        scope="eval",
        toml="eval_thresholds.*",
        example='accuracy.mean = ">=4"',
    )
