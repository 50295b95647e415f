// Code in answers of models: what it is written in, as far as it can be run here.

export type Language = "python" | "javascript" | "html" | "c" | "node";

/** What the server calls a language whose programs it runs; the others run in the frame. */
const ON_SERVER: Partial<Record<Language, string>> = { python: "python", c: "c", node: "javascript" };

export interface Block {
  language: Language;
  code: string;
}

const NAMES: Record<string, Language> = {
  py: "python",
  python: "python",
  python3: "python",
  js: "javascript",
  javascript: "javascript",
  mjs: "javascript",
  threejs: "javascript",
  "three.js": "javascript",
  html: "html",
  svg: "html",
  c: "c",
  node: "node",
  nodejs: "node",
};

/** Return the server's name of a language, null where its code runs in the frame. */
export function onServer(language: Language): string | null {
  return ON_SERVER[language] ?? null;
}

/** Return a piece of code with its language, by its tag or its looks; null if it cannot be run. */
export function runnable(code: string, tag: string): Block | null {
  const language = tag ? NAMES[tag.toLowerCase()] : guess(code);
  return language && code.trim() ? { language, code } : null;
}

/** Return the language of a text that does not name it, null where it does not look like code. */
export function guess(text: string): Language | null {
  const start = text.trimStart();
  if (/^<(!doctype|html|svg|head|body|script|canvas|div)\b/i.test(start)) return "html";
  if (/^\s*#include\s*<\w+\.h>/m.test(text)) return "c";
  if (/^(async )?def \w+\(|^class \w+.*:\s*$|^from [\w.]+ import |^import \w[\w.]*( as \w+)?\s*$/m.test(text)) {
    return "python";
  }
  if (/^(const|let|var) \w+|^(async )?function\b|^import .+ from ["']|^(document|window|console)\./m.test(text)) {
    return "javascript";
  }
  return null;
}
