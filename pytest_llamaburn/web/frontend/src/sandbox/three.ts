// Code that models write loads three.js from all kinds of addresses. The frame has no network, but
// a copy of its own: this finds what a program means by them.

export const THREE = /\bthree\b/i;

const QUOTED = `(["'\`])https?://[^"'\`\\s]*?`;
const SCRIPTS = /<script\b[^>]*\bsrc\s*=\s*["']https?:[^"']*\bthree\b[^"']*["'][^>]*>\s*<\/script>/gi;
const ADDONS = new RegExp(`${QUOTED}/(?:examples/jsm|addons)/([\\w./-]+)[^"'\`\\s]*\\1`, "g");
const WEBGPU = new RegExp(`${QUOTED}/three\\.(webgpu|tsl)(?:\\.min)?\\.js[^"'\`\\s]*\\1`, "g");
const BUILD = new RegExp(`${QUOTED}/three(?:\\.module|\\.core)?(?:\\.min)?\\.js[^"'\`\\s]*\\1`, "g");
const PACKAGE = new RegExp(`${QUOTED}/three(?:@[\\w.^~-]+)?(?:/\\+esm)?\\1`, "g");

/** Return a program in which addresses of three.js are those of the frame's own copy. */
export function withOwnThree(code: string): string {
  return code
    .replace(SCRIPTS, (tag) => (/type\s*=\s*["']module/i.test(tag) ? tag : ""))
    .replace(ADDONS, "$1three/addons/$2$1")
    .replace(WEBGPU, "$1three/$2$1")
    .replace(BUILD, "$1three$1")
    .replace(PACKAGE, "$1three$1");
}

/** Return whether a program uses three.js as the global name of its older versions. */
export function wantsGlobalThree(code: string): boolean {
  return /\bTHREE\s*\./.test(code) && !/\bas\s+THREE\b/.test(code);
}

/** Return the addons that a program takes from the global name, as `THREE.OrbitControls`. */
export function globalAddons(code: string): string[] {
  const names = [...code.matchAll(/\bTHREE\s*\.\s*(\w+(?:Controls|Loader|Composer|Pass))\b/g)];
  return [...new Set(names.map((found) => found[1] ?? ""))];
}
