// The form of a kind of run: a few fields first, the rest below, checked by the server as one types.
import { useEffect, useState } from "preact/hooks";
import { post, Refused, sentence } from "../api";
import { span } from "../format";
import { active, takeJob } from "../store";
import type { Job, Kind, Schema } from "../types";
import { Card, Copyable, Problem, Waiting } from "../ui/card";
import { useLoad } from "../ui/use-load";
import { SettingField } from "./field";
import { ModelPicker } from "./model-picker";
import { type Given, isShown, settingsOf } from "./settings";

const PAUSE_MS = 350; // from the last key to the check

interface Checked {
  command: string;
  expected_s: number | null;
  /** Why the time is not known, or what is not in it. */
  note: string | null;
}

interface Refusal {
  field: string | null;
  message: string;
}

interface FormProps {
  kind: Kind;
  started: (job: Job) => void;
  /** What a part of the page around the form decides; these settings have no field. */
  fixed?: Record<string, unknown>;
  /** The settings that are shown first, if not those that the kind names. */
  first?: string[];
  /** Under which name what was typed is kept. */
  kept?: string;
  title?: string;
  /** What is shown above the fields. */
  children?: preact.ComponentChildren;
  /** Why it cannot be started yet. */
  lacks?: string | null;
  /** Settings that are only known at the start, such as what a microphone is called. */
  prepare?: (() => Promise<Record<string, unknown>>) | undefined;
  /** What is to be undone where it could not be started. */
  failed?: (() => Promise<void>) | undefined;
}

/** The form of a kind; what was typed is kept for this browser tab. */
export function RunForm(props: FormProps) {
  const { data: schema, problem } = useLoad<Schema>(`/schema/${props.kind.name}`);
  if (problem) return <Problem>{problem}</Problem>;
  if (!schema) return <Waiting />;
  return <Fields {...props} schema={schema} />;
}

const NOTHING = {};

function Fields({ kind, schema, started, fixed = NOTHING, prepare, ...props }: FormProps & { schema: Schema }) {
  const [given, setGiven] = useKept(`form-${props.kept ?? kind.name}`);
  const settings: Record<string, unknown> = { ...settingsOf(given, schema), ...fixed };
  const { checked, refusal, setRefusal } = useCheck(kind.name, settings);
  const [starting, setStarting] = useState(false);
  const offered = useOffered(schema);

  const start = async (event: Event) => {
    event.preventDefault();
    setStarting(true);
    try {
      const all = { ...settings, ...(await prepare?.()) };
      const job = await post<Job>(`/${kind.name}/run?queue=${active.value !== null}`, all);
      started(job); // before the list of jobs changes, which may hide this form
      takeJob(job);
    } catch (error) {
      setRefusal(refusalOf(error));
      await props.failed?.();
    }
    setStarting(false);
  };
  const change = (name: string) => (value: Given[string]) => setGiven({ ...given, [name]: value });
  const field = (name: string) => (
    <SettingField
      key={name}
      name={name}
      field={schema.properties[name]!}
      value={given[name]}
      offered={offered[name]}
      problem={refusal?.field === name ? refusal.message : null}
      change={change(name)}
    />
  );
  const [first, rest] = parted(props.first ?? kind.first, schema, given, fixed);
  const refusedBelow = rest.includes(refusal?.field ?? "");
  const elsewhere = refusal && ![...first, ...rest, "model"].includes(refusal.field ?? "");
  return (
    <Card title={props.title ?? `New ${kind.name} run`}>
      <form class="stack" onSubmit={start} noValidate>
        {props.children ?? <p class="quiet">{kind.description}</p>}
        {schema.properties.model && (
          <ModelPicker
            chosen={Array.isArray(given.model) ? given.model : []}
            change={change("model")}
            problem={refusal?.field === "model" ? refusal.message : null}
          />
        )}
        <div class="fields">{first.map(field)}</div>
        <details open={refusedBelow || undefined}>
          <summary>More settings ({rest.length})</summary>
          {groups(rest, schema).map(([group, names]) => (
            <fieldset key={group} class="group">
              <legend>{group}</legend>
              <div class="fields">{names.map(field)}</div>
            </fieldset>
          ))}
        </details>
        {elsewhere && <Problem>{refusal.message}</Problem>}
        <Copyable label="Equal command" text={checked?.command ?? `llamaburn ${kind.name} …`} />
        <div class="row">
          <button type="submit" class="primary" disabled={starting || Boolean(props.lacks)}>
            {active.value ? "Start after the running job" : "Start"}
          </button>
          <button type="button" onClick={() => setGiven({})} disabled={Object.keys(given).length === 0}>
            Reset
          </button>
          {props.lacks ? (
            <span class="quiet">{props.lacks}</span>
          ) : (
            checked && !refusal && <Time {...checked} />
          )}
        </div>
      </form>
    </Card>
  );
}

function Time({ expected_s, note }: Checked) {
  if (expected_s === null) return <span class="quiet">Time not known: {note}.</span>;
  return (
    <span class="quiet">
      It takes about {span(expected_s)}
      {note && `, ${note}`}.
    </span>
  );
}

/** Return the names of the fields to show at once, and of the others, without the model. */
function parted(wanted: string[], schema: Schema, given: Given, fixed: object): [string[], string[]] {
  const shown = Object.keys(schema.properties).filter(
    (name) => name !== "model" && !(name in fixed) && isShown(schema.properties[name]!, given, schema),
  );
  const first = wanted.filter((name) => shown.includes(name));
  return [first, shown.filter((name) => !first.includes(name))];
}

/** Return the names of fields by their group, in the order of the schema. */
function groups(names: string[], schema: Schema): [string, string[]][] {
  const found = new Map<string, string[]>();
  for (const name of names) {
    const group = schema.properties[name]?.["x-group"] ?? "Other";
    found.set(group, [...(found.get(group) ?? []), name]);
  }
  return [...found].reverse(); // the kind's own come last in the schema
}

function refusalOf(error: unknown): Refusal {
  return { field: error instanceof Refused ? error.field : null, message: sentence(error) };
}

/** Have the server check the settings a moment after they changed. */
function useCheck(kind: string, settings: object) {
  const [checked, setChecked] = useState<Checked | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const text = JSON.stringify(settings);
  useEffect(() => {
    const cancel = new AbortController();
    const timer = setTimeout(() => {
      post<Checked>(`/${kind}/check`, JSON.parse(text), cancel.signal)
        .then((found) => {
          setChecked(found);
          setRefusal(null);
        })
        .catch((error) => {
          if (!cancel.signal.aborted) setRefusal(refusalOf(error));
        });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      cancel.abort();
    };
  }, [kind, text]);
  return { checked, refusal, setRefusal };
}

/** Return the words that are offered for settings that name sets. */
function useOffered(schema: Schema): Record<string, string[] | undefined> {
  const has = (name: string) => schema.properties[name]?.type === "array";
  const prompts = useLoad<{ name: string }[]>(has("prompts") ? "/prompts" : null);
  const sets = useLoad<{ name: string }[]>(has("set") ? "/eval-sets" : null);
  return {
    prompts: prompts.data?.map((one) => one.name),
    set: sets.data?.map((one) => one.name),
  };
}

/** Keep what was given in the storage of this browser tab. */
function useKept(name: string): [Given, (given: Given) => void] {
  const [given, setGiven] = useState<Given>(() => {
    try {
      return JSON.parse(sessionStorage.getItem(name) ?? "{}") as Given;
    } catch {
      return {};
    }
  });
  return [
    given,
    (now) => {
      sessionStorage.setItem(name, JSON.stringify(now));
      setGiven(now);
    },
  ];
}
