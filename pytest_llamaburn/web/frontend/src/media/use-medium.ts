// A medium as an address that the page can show: of a result, of a set, or a file that was dropped.
import { useEffect, useState } from "preact/hooks";
import { request, sentence } from "../api";
import type { MediumFacts } from "../types";
import { ticketOf } from "./api";

/** Where a medium is, and what is known of it. */
export interface Medium extends MediumFacts {
  /** Its path at the server, if it is of a set. */
  path?: string;
  /** The file itself, if it was dropped. */
  file?: File;
}

export interface Shown {
  url: string | null;
  /** Its content, if that was read whole. */
  content: Blob | null;
  problem: string | null;
}

const MOST_READ = 20_000_000; // bytes; a player reads longer files in parts

/** Return the address of a medium; `played` ones are read in parts where they are long. */
export function useMedium({ id, path, file, ...facts }: Medium, played: boolean): Shown {
  const [shown, setShown] = useState<Shown>({ url: null, content: null, problem: null });
  const size = Number(facts.sent_bytes ?? facts.bytes ?? 0);
  const inParts = played && id && (facts.kind === "video" || size > MOST_READ);
  useEffect(() => {
    const cancel = new AbortController();
    let made: string | null = null;
    const tell = (now: Partial<Shown>) => {
      if (!cancel.signal.aborted) setShown({ url: null, content: null, problem: null, ...now });
    };
    const take = (content: Blob) => {
      if (cancel.signal.aborted) return;
      made = URL.createObjectURL(content);
      tell({ url: made, content });
    };
    const fail = (error: unknown) => tell({ problem: sentence(error) });
    if (file) take(file);
    else if (inParts) ticketOf(id).then((url) => tell({ url }), fail);
    else if (id || path) {
      request(path ?? `/media/${id}`, { signal: cancel.signal })
        .then((answer) => answer.blob())
        .then(take, fail);
    } else tell({ problem: "This sample is not kept with the result." });
    return () => {
      cancel.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [id, path, file, inParts]);
  return shown;
}
