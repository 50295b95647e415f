// What a model wrote. It is text and never becomes HTML of this page.
import { guess } from "../sandbox/code-blocks";
import { Code } from "../ui/run-code";

/** A part of an answer: words, or code that stands between fences. */
export interface Piece {
  text: string;
  /** The language after the fence, empty if none is named; null for words. */
  language: string | null;
}

const FENCE = /^[ \t]*(```|~~~)[ \t]*([\w+#.-]*)[^\n]*\n([\s\S]*?)(?:^[ \t]*\1[ \t]*$|$(?![\s\S]))/gm;

/** Return an answer's words and code in their order. */
export function pieces(answer: string): Piece[] {
  const found: Piece[] = [];
  let place = 0;
  for (const match of answer.matchAll(FENCE)) {
    const before = answer.slice(place, match.index).trim();
    if (before) found.push({ text: before, language: null });
    found.push({ text: match[3] ?? "", language: (match[2] ?? "").toLowerCase() });
    place = match.index + match[0].length;
  }
  const rest = answer.slice(place).trim();
  const isCode = found.length === 0 && guess(rest) !== null; // an answer without fences
  if (rest) found.push({ text: rest, language: isCode ? "" : null });
  return found;
}

/** Show an answer, its code apart from its words. */
export function Answer({ text }: { text: string | null }) {
  if (text === null) return <p class="quiet">There is no answer.</p>;
  if (!text.trim()) return <p class="quiet">The answer is empty.</p>;
  return (
    <>
      {pieces(text).map(({ text: part, language }, place) =>
        language === null ? (
          <p class="text" key={place}>
            {part}
          </p>
        ) : (
          <Code key={place} text={part} tag={language} />
        ),
      )}
    </>
  );
}
