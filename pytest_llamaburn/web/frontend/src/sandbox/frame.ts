// The script of the frame in which code of a model runs. The server gives the frame an origin of
// its own, no network and no storage. All that it can do beyond itself is to send messages to the
// page, which takes them as text.
import { cut, type Level, type Order, type Told } from "./protocol";
import { globalAddons, THREE, wantsGlobalThree, withOwnThree } from "./three";

const EVERY_MS = 1000;
const MOST_LINES = 100; // in that time; the others are counted
const page = window.parent;
let port: MessagePort | null = null;
const now = performance.now.bind(performance);
const nextFrame = window.requestAnimationFrame.bind(window);
let lines = 0;
let dropped = 0;
let drawn = 0; // frames
let frameDrawn = -1; // the time of the last of them
let shownFrames = 0; // in which the code could have drawn
let renderer: string | null = null;
let drawCalls = 0; // of WebGL and WebGPU
let frameTimes: number[] = []; // ms between frames with draw calls
const MOST_TIMES = 1000; // in a report

function tell(what: Told): void {
  port?.postMessage(what);
}

function say(level: Level, text: string): void {
  lines += 1;
  if (lines > MOST_LINES) dropped += 1;
  else tell({ kind: "line", level, text: cut(text) });
}

/** Return a value as console methods show it, in short. */
function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Error) return cut(value.stack ?? String(value));
  if (value instanceof Element) return `<${value.localName}>`;
  try {
    const text = typeof value === "object" ? JSON.stringify(value) : undefined;
    return text === undefined ? String(value) : text;
  } catch {
    return Object.prototype.toString.call(value);
  }
}

function listenToConsole(): void {
  for (const level of ["debug", "log", "info", "warn", "error"] as const) {
    console[level] = (...values: unknown[]) => say(level, values.map(shown).join(" "));
  }
  console.assert = (holds?: boolean, ...values: unknown[]) => {
    if (!holds) say("error", ["assertion failed", ...values.map(shown)].join(" "));
  };
}

function listenToErrors(): void {
  window.addEventListener("error", (event) => {
    const place = event.lineno ? ` (line ${event.lineno})` : "";
    const source = (event.target as HTMLElement | null)?.getAttribute?.("src");
    say("error", source ? `cannot be loaded: ${source}` : `${event.message}${place}`);
  }, true);
  window.addEventListener("unhandledrejection", (event) => {
    say("error", `unhandled rejection: ${shown(event.reason)}`);
  });
  document.addEventListener("securitypolicyviolation", (event) => {
    say("error", `blocked by the sandbox: ${event.effectiveDirective} ${event.blockedURI}`);
  });
}

/** Count the frames in which the code draws, and take the time between those with draw calls. */
function countFrames(): void {
  let counted = 0;
  let last = -1;
  const seen = (time: number) => {
    shownFrames += 1;
    if (drawCalls > counted) {
      if (last >= 0 && frameTimes.length < MOST_TIMES) frameTimes.push(time - last);
      last = time;
      counted = drawCalls;
    }
    nextFrame(seen);
  };
  nextFrame(seen);
  window.requestAnimationFrame = (callback) =>
    nextFrame((time) => {
      if (time !== frameDrawn) drawn += 1;
      frameDrawn = time;
      callback(time);
    });
}

/** Find out what draws: frames of a processor must not be taken for those of a GPU. */
function watchRenderers(): void {
  for (const Canvas of [HTMLCanvasElement, OffscreenCanvas]) {
    const original = Canvas.prototype.getContext as (...words: unknown[]) => unknown;
    (Canvas.prototype as { getContext: unknown }).getContext = function (
      this: unknown,
      ...words: unknown[]
    ) {
      const context = original.apply(this, words);
      const kind = String(words[0]);
      if (context && (renderer === null || kind !== "2d")) renderer = nameOf(context, kind);
      return context;
    };
  }
  const gpu = navigator.gpu;
  if (!gpu) return;
  const request = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (...words) => {
    const adapter = await request(...words);
    const about = adapter?.info;
    if (about) {
      const names = [about.vendor, about.architecture, about.device, about.description];
      renderer = `WebGPU: ${names.filter(Boolean).join(" ") || "not named"}`;
    }
    return adapter;
  };
}

/** Count the calls that draw; clearing a canvas is none. */
function countDrawCalls(): void {
  const drawing = /^(draw|draw(Arrays|Elements|RangeElements|Indexed|Indirect)\w*|multiDraw\w*|executeBundles)$/;
  const owners = ["WebGLRenderingContext", "WebGL2RenderingContext", "GPURenderPassEncoder"];
  for (const owner of owners) {
    const found = (window as unknown as Record<string, { prototype: object } | undefined>)[owner];
    if (found) countIn(found.prototype, drawing);
  }
  for (const Context of [WebGLRenderingContext, WebGL2RenderingContext]) {
    const original = Context.prototype.getExtension as (name: string) => unknown;
    (Context.prototype as { getExtension: unknown }).getExtension = function (this: unknown, name: string) {
      const extension = original.call(this, name) as object | null;
      if (extension && /multi_draw|instanced/i.test(name)) {
        countIn(Object.getPrototypeOf(extension) as object, drawing);
      }
      return extension;
    };
  }
}

const counting = new WeakSet<object>();

/** Count each call of the methods of a prototype that a pattern names. */
function countIn(prototype: object, drawing: RegExp): void {
  if (counting.has(prototype)) return;
  counting.add(prototype);
  const methods = prototype as Record<string, unknown>;
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const method = drawing.test(name) ? Object.getOwnPropertyDescriptor(prototype, name)?.value : null;
    if (typeof method !== "function") continue;
    methods[name] = function (this: unknown, ...words: unknown[]) {
      drawCalls += 1;
      return (method as (...given: unknown[]) => unknown).apply(this, words);
    };
  }
}

function nameOf(context: unknown, kind: string): string | null {
  if (kind === "webgpu") return renderer; // the adapter has told it
  if (!("getExtension" in (context as object))) return kind;
  const gl = context as WebGLRenderingContext;
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name: unknown = gl.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
  return `${kind === "webgl2" ? "WebGL 2" : "WebGL"}: ${String(name)}`;
}

function reportEachSecond(): void {
  let since = now();
  window.setInterval(() => {
    const elapsed_s = (now() - since) / 1000;
    const frames_per_s = drawn ? drawn / elapsed_s : null;
    const in_view = shownFrames > 0;
    const draw_calls = drawCalls;
    tell({ kind: "alive", frames_per_s, in_view, renderer, dropped, draw_calls, frame_times_ms: frameTimes });
    frameTimes = [];
    since = now();
    drawn = 0;
    shownFrames = 0;
    lines = 0;
  }, EVERY_MS);
}

/** Give a program the global THREE, with the addons that it takes from it. */
async function giveThree(code: string): Promise<void> {
  const three: Record<string, unknown> = { ...(await import(own("three"))) };
  for (const name of globalAddons(code)) {
    if (name in three) continue;
    const folder = name.endsWith("Controls") ? "controls" : name.endsWith("Loader") ? "loaders" : "postprocessing";
    const addon = await import(own(`three/addons/${folder}/${name}.js`)).catch(() => ({}));
    three[name] = addon[name];
  }
  (window as unknown as { THREE: unknown }).THREE = three;
}

/** Return a name of the import map; esbuild must not look for it. */
function own(name: string): string {
  return name;
}

/** Wait until the frame has a size, for at most a second: a canvas as large as it would be empty. */
async function hasSize(): Promise<void> {
  for (let waits = 0; !window.innerWidth && waits < 100; waits += 1) {
    await new Promise((resume) => setTimeout(resume, 10));
  }
}

async function run(order: Order): Promise<void> {
  await hasSize();
  const code = withOwnThree(order.code);
  if (THREE.test(code) && wantsGlobalThree(code)) await giveThree(code);
  if (order.language === "html") write(code);
  else if (MODULE.test(code)) await imported(code);
  else append(code);
}

const MODULE = /^\s*(?:import|export)\b|\bawait\b/m;

/** Run a module; unlike a script element, this tells why one cannot be loaded. */
async function imported(code: string): Promise<void> {
  const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  await import(address);
}

function append(code: string): void {
  const script = document.createElement("script");
  script.textContent = code;
  document.body.append(script);
}

/** Make a page of a text. The window stays, but what listened to it is gone. */
function write(html: string): void {
  document.open();
  listenToErrors();
  document.write(html);
  document.close();
}

listenToConsole();
listenToErrors();
countFrames();
watchRenderers();
countDrawCalls();
reportEachSecond();
// A call to another machine needs no address that a policy could forbid.
Reflect.deleteProperty(window, "RTCPeerConnection");
Reflect.deleteProperty(window, "webkitRTCPeerConnection");
window.addEventListener("message", begin);

function begin(event: MessageEvent): void {
  if (event.source !== page || !event.ports[0]) return;
  window.removeEventListener("message", begin);
  port = event.ports[0];
  run(event.data as Order).catch((err: unknown) => say("error", shown(err)));
}
