import assert from "node:assert/strict";
import { test } from "node:test";
import type { MediaSet } from "../src/media/api";
import { askedIn } from "../src/media/asked";
import { choicesOf, fixedOf, isOfMedia } from "../src/media/choice";
import { Downsampler } from "../src/media/downsampler";
import { peaksOf } from "../src/media/waveform";
import type { Told } from "../src/types";

const set = (name: string, more: Partial<MediaSet>): MediaSet => ({
  name,
  modality: "image",
  noun: "images",
  kind: "image",
  questions: 3,
  categories: [],
  takes: [],
  asks: null,
  own: null,
  settings: [],
  needs: {},
  ...more,
});
const SETS = [
  set("image_qa", { takes: [".png"] }),
  set("audio_stt", { modality: "audio", noun: "recordings", kind: "audio" }),
  set("tts", { modality: "speech", kind: null, own: "text" }),
  set("threejs_gen", { modality: "threejs", kind: null, needs: { render: true } }),
];

test("choices are what the server's sets give, and the microphone where a set has sound", () => {
  const ids = choicesOf(SETS).map((one) => one.id);
  assert.deepEqual(ids, [
    "image_qa",
    "audio_stt",
    "tts",
    "threejs_gen",
    "files-image_qa",
    "text-tts",
    "microphone-audio_stt",
  ]);
  assert.deepEqual(choicesOf(SETS.slice(0, 1)).map((one) => one.how), ["set", "files"]);
});

test("a choice decides the settings that go with it and leaves the text of one's own to its field", () => {
  const of = (id: string) => choicesOf(SETS).find((one) => one.id === id)!;
  assert.equal(fixedOf(of("threejs_gen"), null).render, true);
  assert.deepEqual(fixedOf(of("files-image_qa"), "upload:1").input, "upload:1");
  assert.ok(!("text" in fixedOf(of("text-tts"), null)));
  assert.equal(fixedOf(of("microphone-audio_stt"), null).live_audio, true);
});

test("a command is one of media by its set or by what it asks about", () => {
  const found = ["--set=image_qa", "--set tts", "--live-audio", "--text=Hello", "--set=math", "--model=tts"];
  assert.deepEqual(
    found.map((words) => isOfMedia(`llamaburn eval ${words}`, SETS)),
    [true, true, true, true, false, false],
  );
});

test("what a run tells is put together by question, in the order of asking", () => {
  const told = (event: string, question: string, more: Partial<Told> = {}): Told => ({ event, at: 0, question, ...more });
  const found = askedIn([
    { event: "listening", at: 0, seconds: 3 },
    told("asked", "a", { prompt: "A?", media: [{ kind: "image", id: "1" }] }),
    told("answered", "a", { sample: 0, answer: "no" }),
    told("answered", "a", { sample: 0, answer: "yes", media: [{ kind: "image", id: "2" }] }),
    told("asked", "b", { prompt: "B?" }),
    told("scored", "a", { correct: true }),
  ]);
  assert.deepEqual(
    found.map(({ question, answers, score, media }) => [question, answers.map((one) => one.answer), score?.correct, media.length]),
    [
      ["a", ["yes"], true, 1],
      ["b", [], undefined, 0],
    ],
  );
  assert.equal(found[0]!.media[0]!.id, "2");
});

test("samples of another rate have the duration, the level and the tone of those that came", () => {
  for (const from of [48_000, 44_100, 16_000]) {
    const downsampler = new Downsampler(from, 16_000);
    const made: number[] = [];
    for (let block = 0; block < from; block += 128) {
      const size = Math.min(128, from - block);
      const samples = Float32Array.from({ length: size }, (_, n) => 0.5 * Math.sin((2 * Math.PI * 440 * (block + n)) / from));
      made.push(...downsampler.take(samples));
    }
    assert.ok(Math.abs(made.length - 16_000) <= 1, `${from}: ${made.length}`);
    const crossings = made.filter((value, n) => n > 0 && made[n - 1]! < 0 && value >= 0).length;
    assert.ok(Math.abs(crossings - 440) <= 1, `${from}: ${crossings} Hz`);
    assert.ok(Math.abs(Math.max(...made) - 16_384) < 300, `${from}: ${Math.max(...made)}`);
  }
});

test("samples out of bounds are cut, not wrapped", () => {
  assert.deepEqual([...new Downsampler(16_000, 16_000).take(Float32Array.of(2, -2))], [32_767, -32_767]);
});

test("the peaks of a waveform are the extremes of each column", () => {
  const { low, high } = peaksOf(Float32Array.of(0, 0.5, -0.25, 0, 1, -1), 3);
  assert.deepEqual([...high], [0.5, 0, 1]);
  assert.deepEqual([...low], [0, -0.25, -1]);
  assert.equal(peaksOf(new Float32Array(0), 4).high.length, 4);
});
