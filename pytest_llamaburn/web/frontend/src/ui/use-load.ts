// What is read from the server when a part of the page is first shown.
import { useEffect, useState } from "preact/hooks";
import { get, sentence } from "../api";

export interface Loaded<T> {
  data: T | null;
  problem: string | null;
  /** Read it again. */
  again: () => void;
}

/** Read a path of the API; a null path reads nothing. */
export function useLoad<T>(path: string | null): Loaded<T> {
  const [count, setCount] = useState(0);
  const [state, setState] = useState<{ path: string | null; data: T | null; problem: string | null }>(
    { path: null, data: null, problem: null },
  );
  useEffect(() => {
    if (path === null) return;
    const cancel = new AbortController();
    get<T>(path, cancel.signal)
      .then((data) => setState({ path, data, problem: null }))
      .catch((error) => {
        if (!cancel.signal.aborted) setState({ path, data: null, problem: sentence(error) });
      });
    return () => cancel.abort();
  }, [path, count]);
  const current = state.path === path;
  return {
    data: current ? state.data : null,
    problem: current ? state.problem : null,
    again: () => setCount(count + 1),
  };
}
