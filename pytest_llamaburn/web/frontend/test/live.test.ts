// What is kept of a run's progress, and how often it is shown.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { paced } from "../src/paced";
import { charted, thinned } from "../src/run/live";

test("curves keep what they show of an event, and no more", () => {
  const kept = charted({ at: 5, clients: 2, total_p50_ms: 7, eta_s: 9, unit: "requests", planned: 3 });
  assert.deepEqual([kept.at, kept.clients, kept.total_p50_ms, kept.failed], [5, 2, 7, null]);
  assert.equal("eta_s" in kept || "planned" in kept, false);
});

test("a run of any length is a bounded number of points, the newest of them all", () => {
  let points: ReturnType<typeof charted>[] = [];
  let most = 0;
  for (let at = 0; at < 20_000; at += 1) {
    points = thinned([...points, charted({ at })]);
    most = Math.max(most, points.length);
  }
  assert.ok(most <= 600, `${most}`);
  assert.equal(points[0]!.at, 0);
  const newest = points.slice(-300).map((one) => one.at);
  assert.deepEqual(newest, Array.from({ length: 300 }, (_, place) => 19_700 + place));
  const order = points.map((one) => one.at!);
  assert.deepEqual(order, [...order].sort((a, b) => a - b));
  assert.ok(thinned(Array.from({ length: 2_000 }, (_, at) => charted({ at }))).length <= 600);
});

test("work is done at once, and then not before a pause is over", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let now = 1_000;
  mock.method(performance, "now", () => now);
  const done: number[] = [];
  const work = paced(100, () => done.push(now));
  work();
  now = 1_030;
  work();
  work();
  assert.deepEqual(done, [1_000]);
  now = 1_100;
  mock.timers.tick(70);
  assert.deepEqual(done, [1_000, 1_100]);
  now = 1_400;
  work();
  assert.deepEqual(done, [1_000, 1_100, 1_400]);
  mock.timers.reset();
});
