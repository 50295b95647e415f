// The waveform of sound: its range in each column, and how it is drawn.

/** The lowest and the highest sample in each column, from -1 to 1. */
export interface Peaks {
  low: Float32Array;
  high: Float32Array;
}

/** Return the peaks of samples in so many columns. */
export function peaksOf(samples: Float32Array, columns: number): Peaks {
  const low = new Float32Array(columns);
  const high = new Float32Array(columns);
  for (let column = 0; column < columns; column += 1) {
    const first = Math.floor((column * samples.length) / columns);
    const end = Math.max(first + 1, Math.floor(((column + 1) * samples.length) / columns));
    for (let place = first; place < end && place < samples.length; place += 1) {
      const value = samples[place]!;
      if (value < low[column]!) low[column] = value;
      if (value > high[column]!) high[column] = value;
    }
  }
  return { low, high };
}

/** Draw peaks over the whole canvas; those before `played` (0 to 1) in the accent's colour. */
export function draw(canvas: HTMLCanvasElement, peaks: Peaks, played: number): void {
  const pen = canvas.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!pen || !width || !height) return;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const colours = getComputedStyle(canvas);
  const accent = colours.getPropertyValue("--accent");
  const edge = colours.getPropertyValue("--edge");
  pen.clearRect(0, 0, width, height);
  const columns = peaks.low.length;
  const step = width / columns;
  for (let column = 0; column < columns; column += 1) {
    pen.fillStyle = column / columns < played ? accent : edge;
    const top = ((1 - peaks.high[column]!) / 2) * height;
    const bottom = ((1 - peaks.low[column]!) / 2) * height;
    pen.fillRect(column * step, top, Math.max(1, step - 1), Math.max(1, bottom - top));
  }
}

/** Return the samples of a sound file, in mono; rejects where the browser cannot decode it. */
export async function decoded(bytes: ArrayBuffer): Promise<{ samples: Float32Array; seconds: number }> {
  const context = new OfflineAudioContext(1, 1, 16_000);
  const sound = await context.decodeAudioData(bytes);
  return { samples: sound.getChannelData(0), seconds: sound.duration };
}
