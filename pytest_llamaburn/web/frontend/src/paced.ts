// Work that is done less often than it is asked for.

/** Return a function that has work done: at once, but not again before a pause in ms is over. */
export function paced(pause: number, work: () => void): () => void {
  let last = -Infinity;
  let waits = false;
  const run = () => {
    waits = false;
    last = performance.now();
    work();
  };
  return () => {
    if (waits) return;
    const left = last + pause - performance.now();
    if (left <= 0) return run();
    waits = true;
    setTimeout(run, left);
  };
}
