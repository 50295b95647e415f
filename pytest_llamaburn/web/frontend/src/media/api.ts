// Media: the sets that ask about them, uploads, and what is kept with results.
import { get, post, remove, request } from "../api";

/** A set of questions with media, as the server describes it. */
export interface MediaSet {
  name: string;
  modality: string;
  noun: string;
  kind: string | null;
  questions: number;
  categories: string[];
  takes: string[];
  /** What is asked about files that come without a question. */
  asks: string | null;
  own: string | null;
  settings: string[];
  needs: Record<string, unknown>;
}

export interface Sample {
  id: string;
  prompt: string;
  reference: string | null;
  category: string;
  level: string | null;
  media: { kind: string; path: string }[];
}

/** An upload that has begun; a setting names it as `setting`. */
export interface Upload {
  id: string;
  setting: string;
  takes: string[];
  most_files: number;
  most_bytes: number;
  most_file_bytes: number;
  sample_rate: number;
}

export const begin = (modality: string) => post<Upload>("/uploads", { modality });

/** Send a file; return its number. */
export async function sendFile(upload: Upload, file: File): Promise<number> {
  const path = `/uploads/${upload.id}/files?name=${encodeURIComponent(file.name)}`;
  const answer = await request(path, { method: "POST", headers: RAW, body: file });
  return ((await answer.json()) as { file: number }).file;
}

/** Say what is asked about the files of an upload. */
export async function describe(upload: Upload, samples: object[]): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ samples });
  await request(`/uploads/${upload.id}/samples`, { method: "PUT", headers, body });
}

/** Send samples of sound; after the last ones, no more come. */
export async function sendSound(upload: Upload, samples: Int16Array<ArrayBuffer>, last = false): Promise<void> {
  const path = `/uploads/${upload.id}/sound?last=${last}`;
  await request(path, { method: "POST", headers: RAW, body: samples });
}

/** Remove an upload; one that is gone already is as good. */
export async function forget(upload: Upload): Promise<void> {
  await remove(`/uploads/${upload.id}`).catch(() => {});
}

const RAW = { "Content-Type": "application/octet-stream" };

/** Return the address at which a player can read a medium of a result. */
export async function ticketOf(id: string): Promise<string> {
  return (await post<{ path: string }>(`/media/${id}/tickets`, {})).path;
}

export const samplesOf = (name: string, offset: number, limit: number) =>
  get<{ samples: Sample[]; total: number }>(`/media-sets/${name}/samples?offset=${offset}&limit=${limit}`);
