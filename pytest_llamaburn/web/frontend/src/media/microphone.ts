// The microphone of the reader's machine, and why it may be off.

declare const MIC_WORKLET: string; // its address, which the build puts in

/** A microphone that is open; `close` lets go of it. */
export interface Microphone {
  name: string;
  close: () => void;
}

/** Say why there can be no microphone on this page; null if there may be one. */
export function whyOff(): string | null {
  if (window.isSecureContext && "mediaDevices" in navigator) return null;
  return (
    "The microphone is off: browsers give it only to pages of this machine, or over TLS. Open this page through an " +
    "SSH tunnel, as http://127.0.0.1:7737, or through a proxy with TLS."
  );
}

const REASONS: Record<string, string> = {
  NotAllowedError: "The browser refused the microphone: allow it for this page beside the address, and start again.",
  NotFoundError: "There is no microphone: connect one, and start again.",
  NotReadableError: "The microphone cannot be opened: another program may use it.",
};

/** Open the microphone; `heard` gets 16-bit samples of a rate. Rejects with a sentence. */
export async function open(rate: number, heard: (samples: Int16Array) => void): Promise<Microphone> {
  const off = whyOff();
  if (off) throw new Error(off);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } }).catch((error) => {
    const name = error instanceof DOMException ? error.name : "";
    throw new Error(REASONS[name] ?? `The microphone cannot be opened: ${String(error)}`);
  });
  const context = new AudioContext();
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") void context.close();
  };
  try {
    await context.audioWorklet.addModule(MIC_WORKLET);
    const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0, processorOptions: { rate } });
    node.port.onmessage = ({ data }: MessageEvent<Int16Array>) => heard(data);
    context.createMediaStreamSource(stream).connect(node);
    await context.resume();
  } catch (error) {
    close();
    throw new Error(`This browser cannot read the microphone: ${String(error)}`);
  }
  return { name: stream.getAudioTracks()[0]?.label || "microphone", close };
}
