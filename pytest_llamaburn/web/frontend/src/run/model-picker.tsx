// Which model to run on: those that the server and the embedded catalogue have.
import { computed } from "@preact/signals";
import { useState } from "preact/hooks";
import { bytes, capital, number, UNKNOWN } from "../format";
import { samples } from "../store";
import { Problem, Waiting } from "../ui/card";
import { type Column, Table } from "../ui/table";
import { Tip } from "../ui/tip";
import { useLoad } from "../ui/use-load";
import { PullState, usePull } from "./pull";

export interface Model {
  where: string;
  id: string;
  quantization: string | null;
  family: string | null;
  parameter_size: string | null;
  context_length: number | null;
  size_mb: number | null;
  loaded: boolean | null;
  gpu_share: number | null;
}

interface Models {
  models: Model[];
  complaint: string | null;
}

interface PickerProps {
  chosen: string[];
  change: (models: string[]) => void;
  problem: string | null;
}

/** Boxes to tick for models, and a field for one that is not in the list. */
export function ModelPicker({ chosen, change, problem }: PickerProps) {
  const { data, problem: failed, again } = useLoad<Models>("/models");
  const listed = data?.models ?? [];
  const [wanted, setWanted] = useState("");
  const [other, setOther] = useState("");
  const turn = (id: string) =>
    change(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  const pull = usePull((name) => {
    const id = tagged(name, listed);
    if (!chosen.includes(id)) change([...chosen, id]);
    if (other.trim() === name) setOther("");
    again();
  });
  const add = () => {
    if (other.trim() && !chosen.includes(other.trim())) change([...chosen, other.trim()]);
    setOther("");
  };
  const shown = listed.filter((model) => model.id.toLowerCase().includes(wanted.toLowerCase()));
  const unlisted = chosen.filter((id) => !listed.some((model) => model.id === id));
  return (
    <fieldset class="stack">
      <legend>
        <h3>Model</h3>
      </legend>
      {!data && !failed && <Waiting>Asking the server for its models …</Waiting>}
      {failed && <Problem>{failed}</Problem>}
      {data?.complaint && <Complaint of={data.complaint} />}
      {listed.length > 8 && (
        <input
          type="search"
          aria-label="Part of a model's name"
          placeholder="part of a name"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      )}
      {data && (
        <Table
          label="Models"
          columns={columns(chosen, turn)}
          rows={shown}
          keyOf={(model) => `${model.where} ${model.id}`}
          empty="No model has that name."
        />
      )}
      {unlisted.map((id) => (
        <label class="box" key={id}>
          <input type="checkbox" checked onChange={() => turn(id)} /> {id}
        </label>
      ))}
      <div class="row">
        <input
          class="short"
          aria-label="Another model"
          placeholder="another model's name"
          value={other}
          onInput={(event) => setOther(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            add();
          }}
        />
        <button type="button" onClick={add} disabled={!other.trim()}>
          Add
        </button>
        <button type="button" onClick={() => pull.begin(other.trim())} disabled={!other.trim()}>
          Download
        </button>
        <button type="button" onClick={again}>
          Look again
        </button>
        {chosen.length === 0 && <span class="quiet">None chosen: the default model is used.</span>}
      </div>
      <PullState of={pull} />
      {problem && (
        <p class="error" role="alert">
          {problem}
        </p>
      )}
    </fieldset>
  );
}

/** Return a model's name as Ollama lists it: what has no tag is the latest. */
function tagged(name: string, listed: Model[]): string {
  return name.includes(":") || listed.some((model) => model.id === name) ? name : `${name}:latest`;
}

/** Why the models of a server are missing, without what the command advises of its options. */
function Complaint({ of }: { of: string }) {
  const [why] = of.split(/\. (?=[A-Z])/);
  return (
    <p class="quiet">
      {capital(why ?? of)}. Models whose place is “embedded” need no server. Another server is named by the setting
      Host, under “More settings”.
    </p>
  );
}

function columns(chosen: string[], turn: (id: string) => void): Column<Model>[] {
  const text = (value: string | null) => value ?? <Tip text="The server does not tell.">{UNKNOWN}</Tip>;
  return [
    {
      name: "Name",
      words: true,
      show: (model) => (
        <label class="box">
          <input type="checkbox" checked={chosen.includes(model.id)} onChange={() => turn(model.id)} />
          {model.id}
        </label>
      ),
      by: (model) => model.id,
    },
    { name: "Parameters", show: (model) => text(model.parameter_size) },
    { name: "Quantization", words: true, show: (model) => text(model.quantization) },
    {
      name: "Size",
      show: (model) => (model.size_mb ? bytes(model.size_mb * 1e6) : text(null)),
      by: (model) => model.size_mb,
    },
    { name: "Context", show: (model) => number(model.context_length) },
    { name: "Loaded", words: true, show: loaded },
    { name: "Fits the GPU?", words: true, show: fits },
    { name: "Where", words: true, show: (model) => model.where },
  ];
}

function loaded(model: Model) {
  if (model.loaded === null) return <Tip text="The server does not tell.">{UNKNOWN}</Tip>;
  return model.loaded ? "yes" : "no";
}

/** Say whether a model fits the memory of the largest GPU, and how that is known. */
function fits(model: Model) {
  if (model.gpu_share !== null) {
    return <Tip text="The server says so of the loaded model.">{Math.round(model.gpu_share * 100)} % on it</Tip>;
  }
  const room = gpuMemoryMb.value;
  if (room === null) {
    return <Tip text="No sensor of this machine reports the memory of a GPU.">{UNKNOWN}</Tip>;
  }
  if (!model.size_mb) return <Tip text="The size of the model is not known.">{UNKNOWN}</Tip>;
  const needs = model.size_mb * 1.15;
  const why = `It needs about ${bytes(needs * 1e6)} with a short context; the GPU has ${bytes(room * 1e6)}.`;
  return <Tip text={why}>{needs < room ? "yes" : "not wholly"}</Tip>;
}

/** The memory of the largest GPU. */
const gpuMemoryMb = computed<number | null>(() => {
  const sensors = samples.value.at(-1)?.sensors;
  if (!Array.isArray(sensors)) return null;
  const sizes = sensors
    .map((one: Record<string, unknown>) => one.vram_total_mb)
    .filter((size): size is number => typeof size === "number" && size > 0);
  return sizes.length ? Math.max(...sizes) : null;
});
