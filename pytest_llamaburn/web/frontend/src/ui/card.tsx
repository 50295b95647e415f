// Boxes with a heading, and the sentences of waiting and of failure.
import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";

interface CardProps {
  title: string;
  /** Buttons beside the heading. */
  actions?: ComponentChildren;
  children: ComponentChildren;
}

/** A part of a tab under a heading. */
export function Card({ title, actions, children }: CardProps) {
  const id = useId();
  return (
    <section class="card" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {actions && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** The few numbers that say most, side by side. */
export function Figures({ of }: { of: [name: string, value: ComponentChildren][] }) {
  return (
    <dl class="figures">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What went wrong, in a sentence that a screen reader says at once. */
export function Problem({ children }: { children: ComponentChildren }) {
  return (
    <p class="problem" role="alert">
      {children}
    </p>
  );
}

/** That something is on its way. */
export function Waiting({ children = "Loading …" }: { children?: ComponentChildren }) {
  return (
    <p class="quiet" role="status">
      {children}
    </p>
  );
}

/** Sentences, such as insights. */
export function Sentences({ of }: { of: readonly string[] }) {
  return of.length === 0 ? null : (
    <ul class="sentences">
      {of.map((text) => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  );
}

/** A word for the state of something; the colour is not all that tells it. */
export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export type Tone = "good" | "warn" | "bad" | "plain";

/** A text to copy, such as a command. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState("Copy");
  const code = useRef<HTMLElement>(null);
  const copy = async () => {
    const said = await navigator.clipboard?.writeText(text).then(() => "Copied", () => null);
    if (!said && code.current) getSelection()?.selectAllChildren(code.current); // no access to it
    setState(said ?? "Press Ctrl+C");
    setTimeout(() => setState("Copy"), 3_000);
  };
  return (
    <div class="copyable">
      <code ref={code} tabIndex={0} role="textbox" aria-readonly="true" aria-label={label}>
        {text}
      </code>
      <button type="button" class="small" onClick={copy} aria-label={`Copy: ${label}`}>
        {state}
      </button>
    </div>
  );
}
