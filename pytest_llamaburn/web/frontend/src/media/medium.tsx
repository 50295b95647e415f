// A sample or an answer that is an image, sound or a video.
import { useEffect, useRef, useState } from "preact/hooks";
import { number, span, UNKNOWN } from "../format";
import type { Shown } from "./use-medium";
import { type Medium, useMedium } from "./use-medium";
import { decoded, draw, type Peaks, peaksOf } from "./waveform";

interface Props {
  of: Medium;
  /** What it is, for those who cannot see or hear it. */
  label: string;
}

/** Show a medium by its kind. */
export function MediumView({ of, label }: Props) {
  if (of.kind === "image") return <Picture of={of} label={label} />;
  if (of.kind === "audio") return <Sound of={of} label={label} />;
  if (of.kind === "video") return <Video of={of} label={label} />;
  return <p class="quiet">A medium of the kind “{of.kind}” cannot be shown here.</p>;
}

/** What stands for a medium that is not there yet, or cannot be shown. */
function Missing({ shown: { url, problem } }: { shown: Shown }) {
  if (problem) return <p class="quiet">{problem}</p>;
  return url ? null : <p class="quiet">Loading …</p>;
}

// Images

const STEPS = [0.25, 0.5, 1, 2, 4, 8];

function Picture({ of, label }: Props) {
  const shown = useMedium(of, false);
  const [open, setOpen] = useState(false);
  const [size, setSize] = useState<string>("");
  const [broken, setBroken] = useState(false);
  if (broken) return <p class="quiet">The browser cannot show this image.</p>;
  return (
    <figure class="medium">
      <Missing shown={shown} />
      {shown.url && (
        <>
          <button type="button" class="picture" aria-label={`Zoom: ${label}`} onClick={() => setOpen(true)}>
            <img
              src={shown.url}
              alt={label}
              onError={() => setBroken(true)}
              onLoad={({ currentTarget: { naturalWidth: w, naturalHeight: h } }) => setSize(`${w} × ${h} pixels`)}
            />
          </button>
          <figcaption>{size}</figcaption>
          {open && <Zoom url={shown.url} label={label} close={() => setOpen(false)} />}
        </>
      )}
    </figure>
  );
}

/** An image at any size, over the page; the arrow keys move it, + and - change its size. */
function Zoom({ url, label, close }: { url: string; label: string; close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [natural, setNatural] = useState(0);
  const [factor, setFactor] = useState<number | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const step = (by: number) => {
    const now = factor ?? 1;
    const place = STEPS.findIndex((one) => one >= now) + by;
    setFactor(STEPS[Math.max(0, Math.min(STEPS.length - 1, place))]!);
  };
  const key = (event: KeyboardEvent) => {
    const keys: Record<string, () => void> = { "+": () => step(1), "-": () => step(-1), "0": () => setFactor(null) };
    keys[event.key]?.();
  };
  return (
    <dialog ref={dialog} class="zoom" aria-label={label} onClose={close} onKeyDown={key}>
      <div class="row">
        <button type="button" onClick={() => step(-1)} aria-label="Smaller">
          −
        </button>
        <button type="button" onClick={() => step(1)} aria-label="Larger">
          +
        </button>
        <button type="button" onClick={() => setFactor(null)} aria-pressed={factor === null}>
          Fit
        </button>
        <span class="quiet" role="status">
          {factor === null ? "fits the window" : `${number(factor * 100)} %`}
        </span>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
      <div class={factor === null ? "whole" : "scrolled"} role="region" aria-label="Image" tabIndex={0}>
        <img
          src={url}
          alt={label}
          onLoad={({ currentTarget }) => setNatural(currentTarget.naturalWidth)}
          {...(factor !== null && natural > 0 && { width: Math.round(natural * factor) })}
        />
      </div>
    </dialog>
  );
}

// Sound

const COLUMNS = 240;

/** A player with the waveform; a click on the waveform goes there. */
function Sound({ of, label }: Props) {
  const shown = useMedium(of, true);
  const wave = useWave(shown.content);
  const player = useRef<HTMLAudioElement>(null);
  const [played, setPlayed] = useState(0);
  const total = wave?.seconds ?? of.seconds ?? null;
  const seek = (event: MouseEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    if (player.current && total) player.current.currentTime = ((event.clientX - box.left) / box.width) * total;
  };
  return (
    <figure class="medium sound">
      <Missing shown={shown} />
      {wave?.peaks && (
        <Wave peaks={wave.peaks} played={played} label={`Waveform, ${span(wave.seconds)}: ${label}`} seek={seek} />
      )}
      {shown.url && (
        <audio
          ref={player}
          controls
          preload="metadata"
          src={shown.url}
          aria-label={label}
          onTimeUpdate={({ currentTarget: { currentTime } }) => setPlayed(total ? currentTime / total : 0)}
        />
      )}
      <figcaption>
        {total === null ? UNKNOWN : span(total)}
        {wave?.peaks === null && ", which this browser cannot draw"}
      </figcaption>
    </figure>
  );
}

interface WaveOf {
  peaks: Peaks | null;
  seconds: number | null;
}

function useWave(content: Blob | null): WaveOf | null {
  const [wave, setWave] = useState<WaveOf | null>(null);
  useEffect(() => {
    let current = true;
    setWave(null);
    content
      ?.arrayBuffer()
      .then(decoded)
      .then(({ samples, seconds }) => current && setWave({ peaks: peaksOf(samples, COLUMNS), seconds }))
      .catch(() => current && setWave({ peaks: null, seconds: null }));
    return () => {
      current = false;
    };
  }, [content]);
  return wave;
}

interface WaveProps {
  peaks: Peaks;
  played: number;
  label: string;
  seek?: (event: MouseEvent) => void;
}

/** A waveform on a canvas. */
export function Wave({ peaks, played, label, seek }: WaveProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [looks, setLooks] = useState(0);
  useEffect(() => {
    const again = () => setLooks((count) => count + 1);
    const theme = window.matchMedia("(prefers-color-scheme: dark)");
    const sizes = new ResizeObserver(again);
    if (canvas.current) sizes.observe(canvas.current);
    theme.addEventListener("change", again);
    return () => {
      sizes.disconnect();
      theme.removeEventListener("change", again);
    };
  }, []);
  useEffect(() => {
    if (canvas.current) draw(canvas.current, peaks, played);
  }, [peaks, played, looks]);
  return <canvas ref={canvas} class="wave" role="img" aria-label={label} onClick={seek} />;
}

// Videos

/** A player with a mark for each frame that the model saw; a mark's button goes there. */
function Video({ of, label }: Props) {
  const shown = useMedium(of, true);
  const player = useRef<HTMLVideoElement>(null);
  const [seconds, setSeconds] = useState<number | null>(of.seconds ?? null);
  const frames = (Array.isArray(of.frames) ? of.frames : []).filter(Number.isFinite);
  const go = (at: number) => {
    if (player.current) player.current.currentTime = at;
  };
  return (
    <figure class="medium video">
      <Missing shown={shown} />
      {shown.url && (
        <video
          ref={player}
          controls
          playsInline
          preload="metadata"
          src={shown.url}
          aria-label={label}
          onLoadedMetadata={({ currentTarget: { duration } }) => Number.isFinite(duration) && setSeconds(duration)}
        />
      )}
      {frames.length > 0 && <Marks frames={frames} seconds={seconds ?? Math.max(...frames)} go={go} />}
      <figcaption>
        {seconds === null ? UNKNOWN : span(seconds)}
        {frames.length > 0 && `; the model saw ${number(frames.length)} frames`}
      </figcaption>
    </figure>
  );
}

const MOST_BUTTONS = 32;

function Marks({ frames, seconds, go }: { frames: number[]; seconds: number; go: (at: number) => void }) {
  const place = (at: number) => (seconds > 0 ? (1000 * at) / seconds : 0);
  return (
    <>
      <svg class="marks" viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true">
        <line class="track" x1="0" y1="6" x2="1000" y2="6" />
        {frames.map((at) => (
          <line key={at} class="mark" x1={place(at)} y1="0" x2={place(at)} y2="12" />
        ))}
      </svg>
      <details>
        <summary>Frames that the model saw</summary>
        <div class="row">
          {frames.slice(0, MOST_BUTTONS).map((at) => (
            <button key={at} type="button" class="small" aria-label={`Go to ${number(at)} s`} onClick={() => go(at)}>
              {number(at)} s
            </button>
          ))}
          {frames.length > MOST_BUTTONS && <span class="quiet">and {number(frames.length - MOST_BUTTONS)} more</span>}
        </div>
      </details>
    </>
  );
}
