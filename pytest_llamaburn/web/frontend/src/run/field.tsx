// A field of a form, made from the schema of its setting.
import { useId } from "preact/hooks";
import type { Field } from "../types";
import { choicesOf, type Given, helpOf, labelOf, lookOf } from "./settings";

interface FieldProps {
  name: string;
  field: Field;
  value: Given[string] | undefined;
  problem: string | null;
  /** Words that a list may have, which are offered as boxes to tick. */
  offered?: string[] | undefined;
  change: (value: Given[string]) => void;
}

/** A labelled field with its help, and the server's sentence if that refuses it. */
export function SettingField({ name, field, value, problem, offered, change }: FieldProps) {
  const id = useId();
  const look = lookOf(field);
  const unit = field["x-unit"];
  const about = `${id}-help ${problem ? `${id}-error` : ""}`;
  const common = { id, "aria-describedby": about, "aria-invalid": problem !== null };
  const label = (
    <>
      {labelOf(name)}
      {unit && <span class="unit"> ({unit})</span>}
    </>
  );
  return (
    <div class="field">
      {look === "switch" ? (
        <label for={id}>
          <input
            {...common}
            type="checkbox"
            checked={(value ?? field.default) === true}
            onChange={(event) => change(event.currentTarget.checked)}
          />
          {label}
        </label>
      ) : look === "list" && offered ? (
        <Offered {...{ label, field, value, offered, change }} about={about} />
      ) : (
        <>
          <label for={id}>{label}</label>
          <Input {...{ look, field, value, change, common }} />
        </>
      )}
      <p class="help" id={`${id}-help`}>
        {helpOf(field)}
      </p>
      {problem && (
        <p class="error" id={`${id}-error`} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

interface InputProps extends Pick<FieldProps, "field" | "value" | "change"> {
  look: string;
  common: object;
}

function Input({ look, field, value, change, common }: InputProps) {
  const known = field.default;
  if (look === "choice") {
    const choices = choicesOf(field)!;
    return (
      <select
        {...common}
        value={String(value ?? known ?? "")}
        onChange={(event) => change(event.currentTarget.value)}
      >
        {(known === null || known === undefined) && <option value="">–</option>}
        {choices.map((word) => (
          <option key={word}>{word}</option>
        ))}
      </select>
    );
  }
  if (look === "list") {
    return (
      <textarea
        {...common}
        rows={Math.max(1, Array.isArray(value) ? value.length : 1)}
        placeholder={Array.isArray(known) ? known.join("\n") : ""}
        value={Array.isArray(value) ? value.join("\n") : ""}
        spellcheck={false}
        onInput={(event) => change(event.currentTarget.value.split("\n"))}
      />
    );
  }
  return (
    <input
      {...common}
      inputMode={look === "number" ? "decimal" : "text"}
      placeholder={known === null || known === undefined ? "" : String(known)}
      value={String(value ?? "")}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => change(event.currentTarget.value)}
    />
  );
}

interface OfferedProps extends Pick<FieldProps, "field" | "value" | "change"> {
  label: preact.ComponentChildren;
  offered: string[];
  about: string;
}

/** Boxes to tick for a setting that takes several words of a list. */
function Offered({ label, field, value, offered, change, about }: OfferedProps) {
  const known = Array.isArray(field.default) ? (field.default as string[]) : [];
  const chosen = Array.isArray(value) ? value : known;
  const turn = (word: string) =>
    change(chosen.includes(word) ? chosen.filter((one) => one !== word) : [...chosen, word]);
  return (
    <fieldset aria-describedby={about}>
      <legend>{label}</legend>
      <div class="boxes">
        {offered.map((word) => (
          <label key={word}>
            <input type="checkbox" checked={chosen.includes(word)} onChange={() => turn(word)} />
            {word}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
