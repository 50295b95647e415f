// From a microphone's samples to those of another rate.

/** Makes samples of a lower rate: each is the mean of those in its time, which also filters. */
export class Downsampler {
  private sum = 0;
  private count = 0;
  private phase = 0;

  constructor(
    private readonly from: number,
    private readonly to: number,
  ) {}

  /** Take samples from -1 to 1; return those of the new rate as 16-bit integers. */
  take(samples: Float32Array): Int16Array<ArrayBuffer> {
    const made: number[] = [];
    for (const sample of samples) {
      this.sum += sample;
      this.count += 1;
      this.phase += this.to;
      while (this.phase >= this.from) {
        this.phase -= this.from;
        const mean = this.count ? this.sum / this.count : sample;
        made.push(Math.round(Math.max(-1, Math.min(1, mean)) * 32_767));
        this.sum = 0;
        this.count = 0;
      }
    }
    return Int16Array.from(made);
  }
}
