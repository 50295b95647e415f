// Files of one's own: dropped or chosen, each with what is asked about it. They are sent at once and
// removed from the server when the run is over.
import { useEffect, useRef, useState } from "preact/hooks";
import { sentence } from "../api";
import { bytes, number } from "../format";
import { Problem } from "../ui/card";
import { begin, describe, forget, type MediaSet, sendFile, type Upload } from "./api";
import { MediumView } from "./medium";

interface Item {
  key: number;
  file: File;
  /** Its number at the server, once it is there. */
  sent: number | null;
  problem: string | null;
  prompt: string;
  reference: string;
}

/** The files of a run that is to begin. */
export interface Dropped {
  items: Item[];
  problem: string;
  upload: Upload | null;
  add: (files: Iterable<File>) => Promise<void>;
  edit: (key: number, changed: Partial<Item>) => void;
  leave: (key: number) => void;
  /** A run is being started with them: they are its own from now on, or not after all. */
  give: (given: boolean) => void;
}

const PAUSE_MS = 300;

/** Keep files for a set; another modality begins anew. */
export function useDropped(set: MediaSet | null): Dropped {
  const [items, setItems] = useState<Item[]>([]);
  const [problem, setProblem] = useState("");
  const [ready, setReady] = useState<Upload | null>(null);
  const upload = useRef<Upload | null>(null);
  const given = useRef(false);
  const count = useRef(0);
  const change = (key: number, changed: Partial<Item>) =>
    setItems((known) => known.map((one) => (one.key === key ? { ...one, ...changed } : one)));
  const clear = () => {
    upload.current = null;
    setReady(null);
    setItems([]);
    setProblem("");
  };
  useEffect(
    () => () => {
      if (upload.current && !given.current) void forget(upload.current);
      given.current = false;
      clear();
    },
    [set?.modality],
  );

  const add = async (files: Iterable<File>) => {
    if (!set) return;
    const all = [...files]; // a list of files is empty once its field is
    setProblem("");
    try {
      upload.current ??= await begin(set.modality);
    } catch (error) {
      setProblem(sentence(error));
      return;
    }
    const { media, texts } = sorted(all, upload.current.takes);
    const added = media.map((file): Item => {
      count.current += 1;
      const problem = faultOf(file, upload.current!);
      return { key: count.current, file, sent: null, problem, prompt: "", reference: "" };
    });
    setItems((known) => [...known, ...added]);
    for (const item of added.filter((one) => !one.problem)) {
      const reference = (await texts.get(stemOf(item.file.name))?.text())?.trim() ?? "";
      await sendFile(upload.current, item.file).then(
        (sent) => change(item.key, { sent, reference }),
        (error) => change(item.key, { problem: sentence(error) }),
      );
    }
  };

  const sent = items.filter((one) => one.sent !== null);
  const asked = JSON.stringify(
    sent.map((one) => ({ file: one.sent, prompt: one.prompt || null, reference: one.reference || null })),
  );
  useEffect(() => {
    setReady(null);
    const current = upload.current;
    if (!current || sent.length === 0) return;
    const timer = setTimeout(() => {
      describe(current, JSON.parse(asked) as object[]).then(
        () => setReady(current),
        (error) => setProblem(sentence(error)),
      );
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [asked]);

  const leave = (key: number) => setItems((known) => known.filter((one) => one.key !== key));
  const give = (now: boolean) => (given.current = now);
  return { items, problem, upload: ready, add, edit: change, leave, give };
}

/** Say why a file is not sent; null if it is. */
function faultOf({ name, size }: File, { takes, most_file_bytes }: Upload): string | null {
  if (!takes.some((suffix) => name.toLowerCase().endsWith(suffix))) return `It is not taken: ${takes.join(", ")} are.`;
  if (size === 0) return "It is empty.";
  return size > most_file_bytes ? `It has ${bytes(size)}; at most ${bytes(most_file_bytes)} are taken.` : null;
}

const stemOf = (name: string) => name.replace(/\.[^.]*$/, "");

/** Return the media among files, and the texts that are their references, by name. */
function sorted(files: File[], takes: string[]): { media: File[]; texts: Map<string, File> } {
  const isText = (file: File) => /\.txt$/i.test(file.name) && !takes.includes(".txt");
  const texts = new Map(files.filter(isText).map((file) => [stemOf(file.name), file]));
  return { media: files.filter((file) => !isText(file)), texts };
}

interface DropProps {
  set: MediaSet;
  dropped: Dropped;
}

/** Where files are dropped, and what is asked about each. */
export function DropFiles({ set, dropped }: DropProps) {
  const [over, setOver] = useState(false);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    void dropped.add(event.dataTransfer?.files ?? []);
  };
  return (
    <div class="stack">
      <div
        class={over ? "dropzone over" : "dropzone"}
        onDrop={drop}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
      >
        <label class="button">
          Choose files …
          <input
            type="file"
            multiple
            accept={[...set.takes, ".txt"].join(",")}
            onChange={(event) => {
              void dropped.add(event.currentTarget.files ?? []);
              event.currentTarget.value = "";
            }}
          />
        </label>
        <span>
          or drop them here: {set.takes.join(", ")}; up to 100 files of 64 MB. A text file of the same name is the
          reference.
        </span>
      </div>
      <p class="quiet">
        The files go to llamaburn serve alone and are removed when the run is over; the result keeps the samples that
        were asked about.
      </p>
      {dropped.problem && <Problem>{dropped.problem}</Problem>}
      {dropped.items.length > 0 && (
        <ol class="previews" aria-label="Files">
          {dropped.items.map((item) => (
            <FileCard key={item.key} item={item} set={set} dropped={dropped} />
          ))}
        </ol>
      )}
    </div>
  );
}

function FileCard({ item, set, dropped }: { item: Item; set: MediaSet; dropped: Dropped }) {
  const { file, problem, sent } = item;
  const text = (name: "prompt" | "reference", label: string, placeholder: string) => (
    <label>
      {label}
      <textarea
        rows={2}
        value={item[name]}
        placeholder={placeholder}
        aria-label={`${label}: ${file.name}`}
        onInput={(event) => dropped.edit(item.key, { [name]: event.currentTarget.value })}
      />
    </label>
  );
  return (
    <li>
      {!problem && <MediumView of={{ kind: set.kind ?? "", file }} label={file.name} />}
      <p class="row">
        <strong>{file.name}</strong>
        <span class="quiet">{bytes(file.size)}</span>
        <button type="button" class="small" aria-label={`Leave out ${file.name}`} onClick={() => dropped.leave(item.key)}>
          Leave out
        </button>
      </p>
      {problem && <Problem>{problem}</Problem>}
      {!problem && sent === null && <p class="quiet">Sending …</p>}
      {sent !== null && (
        <>
          {text("prompt", "Question", set.asks ?? "")}
          {text("reference", "Right answer", "none: a judge scores it, or nobody")}
        </>
      )}
    </li>
  );
}

/** Say why a run about files cannot begin yet. */
export function lackOf({ items, upload }: Dropped): string | null {
  const good = items.filter((one) => !one.problem);
  if (good.length === 0) return "Choose files first.";
  if (upload) return null;
  const sent = good.filter((one) => one.sent !== null).length;
  return `${number(sent)} of ${number(good.length)} files are sent.`;
}
