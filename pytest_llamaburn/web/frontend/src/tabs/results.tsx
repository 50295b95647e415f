// Results: the lists of each type, one result or comparison, and files of anywhere.
import { useEffect, useState } from "preact/hooks";
import { sentence } from "../api";
import { number } from "../format";
import { href, route } from "../routes";
import { jobs } from "../store";
import { type Folder, look } from "../results/api";
import { ResultList } from "../results/list";
import { OneResult } from "../results/one";
import { Card, Problem, Waiting } from "../ui/card";
import { typeTitleOf } from "../ui/job-bar";
import { useLoad } from "../ui/use-load";
import type { Document } from "../views/document";
import { DocumentView } from "../views/result";

/** The tab. Its address says what is shown: nothing, a type, or a result of a type. */
export default function Results() {
  const [type, id] = route.value.parts;
  const [foreign, setForeign] = useState<Document | null>(null);
  const [name, setName] = useState("");
  const [problem, setProblem] = useState("");
  useEffect(() => setForeign(null), [type, id]);
  const open = async (file: File | undefined) => {
    if (!file) return;
    setProblem("");
    setName(file.name);
    await look(file).then(setForeign, (error) => setProblem(sentence(error)));
  };
  const close = () => setForeign(null);
  return (
    <DropZone open={open}>
      {problem && <Problem>{problem}</Problem>}
      {foreign ? (
        <Foreign name={name} document={foreign} close={close} />
      ) : type && id ? (
        <OneResult type={type} id={id} />
      ) : (
        <Lists type={type} open={open} />
      )}
    </DropZone>
  );
}

interface DropProps {
  open: (file: File | undefined) => Promise<void>;
  children: preact.ComponentChildren;
}

/** Take a file that is dragged in. */
function DropZone({ open, children }: DropProps) {
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    void open(event.dataTransfer?.files[0]);
  };
  const drag = (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    setOver(true);
  };
  return (
    <div
      class={over ? "drop over" : "drop"}
      onDragOver={drag}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      {children}
    </div>
  );
}

function Foreign({ name, document, close }: { name: string; document: Document; close: () => void }) {
  return (
    <>
      <p class="crumbs">
        <button type="button" onClick={close}>
          Back to the results
        </button>
        <span>
          {name} <span class="quiet">is only looked at: it is not kept here.</span>
        </span>
      </p>
      <DocumentView document={document} />
    </>
  );
}

interface ListsProps {
  type: string | undefined;
  open: (file: File | undefined) => Promise<void>;
}

function Lists({ type, open }: ListsProps) {
  const { data: folders, problem, again } = useLoad<Folder[]>("/results");
  const over = jobs.value.filter((job) => job.ended).length;
  useEffect(again, [over]);
  if (problem) return <Problem>{problem}</Problem>;
  if (!folders) return <Waiting />;
  const sorted = [...folders].sort((a, b) => Number(b.compared) - Number(a.compared));
  const shown = type ? folders.find((one) => one.type === type) : sorted.find((one) => one.total > 0);
  const current = shown ?? (type ? undefined : sorted[0]);
  return (
    <Card title="Results" actions={<FileButton open={open} />}>
      <Types of={sorted} current={current} />
      {current ? (
        <ResultList key={current.type} folder={current} />
      ) : (
        <Problem>
          There is no type “{type}”. The types are: {sorted.map((one) => one.type).join(", ")}.
        </Problem>
      )}
    </Card>
  );
}

function Types({ of, current }: { of: Folder[]; current: Folder | undefined }) {
  const shown = of.filter((one) => one.compared || one.total > 0 || one.type === current?.type);
  return (
    <nav class="types" aria-label="Types of results">
      {shown.map((one) => (
        <a
          key={one.type}
          href={href("results", one.type)}
          {...(one.type === current?.type && { "aria-current": "page" as const })}
        >
          {typeTitleOf(one.type)} <span class="count">{number(one.total)}</span>
        </a>
      ))}
    </nav>
  );
}

function FileButton({ open }: { open: (file: File | undefined) => Promise<void> }) {
  return (
    <label class="button">
      Look at a file …
      <input
        type="file"
        accept=".json,application/json"
        onChange={(event) => {
          void open(event.currentTarget.files?.[0]);
          event.currentTarget.value = "";
        }}
      />
    </label>
  );
}
