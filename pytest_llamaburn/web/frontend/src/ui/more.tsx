// Long lists, shown in parts.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { number } from "../format";

interface MoreProps<T> {
  rows: T[];
  step?: number;
  children: (shown: T[]) => ComponentChildren;
}

/** Show the first rows, and a button for more of them. */
export function More<T>({ rows, step = 50, children }: MoreProps<T>) {
  const [count, setCount] = useState(step);
  return (
    <div class="stack">
      {children(rows.slice(0, count))}
      {rows.length > count && (
        <div class="row">
          <button type="button" onClick={() => setCount(count + step)}>
            Show {number(Math.min(step, rows.length - count))} more
          </button>
          <span class="quiet">
            {number(count)} of {number(rows.length)} are shown
          </span>
        </div>
      )}
    </div>
  );
}
