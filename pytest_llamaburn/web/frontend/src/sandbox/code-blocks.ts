// Finds the code in an answer of a model.

export type Language = "python" | "javascript" | "html";

export interface Block {
  language: Language;
  code: string;
}

const FENCE = /^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n([\s\S]*?)(?:^[ \t]*\1|(?![\s\S]))/gm;
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
};

/** Return the blocks of code in an answer that can be run here; an answer may be one as a whole. */
export function codeBlocks(answer: string): Block[] {
  const fenced = [...answer.matchAll(FENCE)];
  if (fenced.length === 0) {
    const whole = guess(answer);
    return whole ? [{ language: whole, code: answer.trim() }] : [];
  }
  return fenced.flatMap(([, , tag = "", code = ""]) => {
    const language = tag ? NAMES[tag.toLowerCase()] : guess(code);
    return language && code.trim() ? [{ language, code }] : [];
  });
}

/** Return the language of a text that does not name it, null where it does not look like code. */
export function guess(text: string): Language | null {
  const start = text.trimStart();
  if (/^<(!doctype|html|svg|head|body|script|canvas|div)\b/i.test(start)) return "html";
  if (/^(async )?def \w+\(|^class \w+.*:\s*$|^from [\w.]+ import |^import \w[\w.]*( as \w+)?\s*$/m.test(text)) {
    return "python";
  }
  if (/^(const|let|var) \w+|^(async )?function\b|^import .+ from ["']|^(document|window|console)\./m.test(text)) {
    return "javascript";
  }
  return null;
}
