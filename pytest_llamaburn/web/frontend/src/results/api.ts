// What the tab of results asks of the server.
import { post, remove, request, Refused } from "../api";
import type { Reference } from "../types";
import type { Document } from "../views/document";

/** A type of results, as the server lists it. */
export interface Folder {
  type: string;
  kind: string;
  total: number;
  compared: boolean;
  trended: boolean;
}

export interface Compared {
  result: Reference;
  passed: boolean;
  document: Document;
}

/** The formats that the page offers, and what their files end with. */
export const FORMATS: Record<string, string> = {
  csv: "csv",
  json: "json",
  html: "html",
  markdown: "md",
};

export const MOST_BYTES = 20_000_000; // of a file that is looked at; the server's limit as well

export const pathOf = ({ type, id }: Reference): string =>
  `/results/${encodeURIComponent(type)}/${encodeURIComponent(id)}`;

/** Move results to the trash; return those that were moved, and why the first other was not. */
export async function removeAll(results: Reference[]): Promise<[Reference[], unknown]> {
  const moved: Reference[] = [];
  for (const result of results) {
    try {
      await remove(pathOf(result));
      moved.push(result);
    } catch (error) {
      return [moved, error];
    }
  }
  return [moved, null];
}

/** Move results back to their places. */
export async function restoreAll(results: Reference[]): Promise<void> {
  for (const result of results) await post(`${pathOf(result)}/restore`, {});
}

/** Return the content of a file that is no result of this server; raises Refused. */
export async function look(file: File): Promise<Document> {
  if (file.size > MOST_BYTES) {
    const size = `${(file.size / 1e6).toFixed(0)} MB`;
    throw new Refused(413, `${file.name} has ${size}: at most ${MOST_BYTES / 1e6} MB are read here.`);
  }
  const headers = { "Content-Type": "application/json" };
  const answer = await request("/results/look", { method: "POST", headers, body: file });
  return answer.json() as Promise<Document>;
}
