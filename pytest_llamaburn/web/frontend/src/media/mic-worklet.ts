// Runs beside the page on the thread of sound: it makes samples of the rate that is asked for.
import { Downsampler } from "./downsampler";

declare const sampleRate: number;
declare function registerProcessor(name: string, of: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

class Microphone extends AudioWorkletProcessor {
  private readonly downsampler: Downsampler;

  constructor(options: { processorOptions: { rate: number } }) {
    super();
    this.downsampler = new Downsampler(sampleRate, options.processorOptions.rate);
  }

  process([input]: Float32Array[][]): boolean {
    const channel = input?.[0];
    if (channel) {
      const samples = this.downsampler.take(channel);
      this.port.postMessage(samples, [samples.buffer]);
    }
    return true;
  }
}

registerProcessor("microphone", Microphone);
