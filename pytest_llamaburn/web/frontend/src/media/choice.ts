// What a new run asks about: a set, files or a text of one's own, or a microphone.
import { capital } from "../format";
import type { MediaSet } from "./api";

export interface Choice {
  id: string;
  group: string;
  label: string;
  how: "set" | "files" | "text" | "microphone";
  set: MediaSet;
}

const MICROPHONE = { modality: "live", settings: ["reference", "duration", "language"] };

/** Return all choices that the server's sets give. */
export function choicesOf(sets: MediaSet[]): Choice[] {
  const firsts = [...new Map([...sets].reverse().map((set) => [set.modality, set])).values()].reverse();
  const files = sets.filter((set) => set.takes.length > 0);
  const texts = firsts.filter((set) => set.own);
  const heard = firsts.find((set) => set.kind === "audio");
  return [
    ...sets.map((set) => choice("set", set, "Sets", `${set.name}: ${set.questions} ${set.noun}`)),
    ...files.map((set) => choice("files", set, "Your own files", `Your own ${set.noun}, asked as ${set.name}`)),
    ...texts.map((set) => choice("text", set, "One text of your own", `${capital(set.modality)} of your own ${set.own}`)),
    ...(heard
      ? [choice("microphone", { ...heard, ...MICROPHONE }, "Live", "The microphone, transcribed while you speak")]
      : []),
  ];
}

function choice(how: Choice["how"], set: MediaSet, group: string, label: string): Choice {
  return { id: how === "set" ? set.name : `${how}-${set.name}`, group, label, how, set };
}

/** Return the settings that a choice decides; `null` hides a setting that does not belong to it. */
export function fixedOf({ how, set }: Choice, upload: string | null): Record<string, unknown> {
  const own = { text: null, prompt: null, live_audio: null, input: null, device: null };
  if (how === "set") return { ...own, ...set.needs, set: [set.name] };
  if (how === "files") return { ...own, ...set.needs, set: [set.name], input: upload };
  if (how === "text") {
    const { [set.own as keyof typeof own]: _, ...rest } = own;
    return { ...rest, set: null };
  }
  return { ...own, live_audio: true, set: null };
}

/** Return whether a command is that of a run with media. */
export function isOfMedia(command: string, sets: MediaSet[]): boolean {
  if (/--(?:input|text|prompt)[= ]|--live-audio\b/.test(command)) return true;
  const named = [...command.matchAll(/--set[= ](\S+)/g)].map((found) => found[1]);
  return named.some((name) => sets.some((set) => set.name === name));
}
