// Numbers, times and names as people read them. What is not known is an en dash.

export const UNKNOWN = "–";

/** Return a number with three significant digits and thousands separators. */
export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return fixed(value, 0);
  if (size >= 10 ** (digits - 1)) return fixed(Math.round(value), 0);
  return formatter("SignificantDigits", digits).format(value);
}

/** Return a number with so many decimals and thousands separators. */
export function fixed(value: number, decimals: number): string {
  return formatter("FractionDigits", decimals).format(value);
}

const formatters = new Map<string, Intl.NumberFormat>();

/** Return a formatter; to make one takes a hundred times as long as to use it. */
function formatter(of: "SignificantDigits" | "FractionDigits", count: number): Intl.NumberFormat {
  const key = of + count;
  const known = formatters.get(key) ?? new Intl.NumberFormat("en", { [`minimum${of}`]: count, [`maximum${of}`]: count });
  formatters.set(key, known);
  return known;
}

/** Return a number with its unit. */
export function withUnit(value: number | null | undefined, unit = ""): string {
  const text = number(value);
  if (text === UNKNOWN || !unit) return text;
  return unit === "%" ? `${text} %` : `${text} ${unit}`;
}

/** Return a time span: 850 ms, 12 s, 3 min 20 s, 2 h 5 min. */
export function span(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return together(Math.floor(whole / 60), "min", whole % 60, "s");
  return together(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
}

const together = (most: number, of: string, rest: number, ofRest: string) =>
  rest ? `${most} ${of} ${rest} ${ofRest}` : `${most} ${of}`;

/** Return a UTC time stamp in the reader's zone. */
export function when(stamp: string | null | undefined): string {
  if (!stamp) return UNKNOWN;
  const time = new Date(stamp);
  if (Number.isNaN(time.valueOf())) return stamp;
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** Return a number of bytes. */
export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let value = size;
  while (value >= 1000 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${number(value)} ${units[step]}`;
}

/** Return a share as a percentage. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return UNKNOWN;
  const hundredths = share * 100;
  return `${hundredths.toFixed(Math.abs(hundredths) < 10 && hundredths !== 0 ? 1 : 0)} %`;
}

const UNITS: [RegExp, string][] = [
  [/_ms$/, "ms"],
  [/_mb$/, "MB"],
  [/_percent$/, "%"],
  [/_w$/, "W"],
  [/_c$/, "°C"],
  [/_j$/, "J"],
  [/_s$/, "s"],
];

/** Return a text with a capital letter first. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Return the unit that the name of a measure tells, such as ms for `stream_ms`. */
export function unitOf(name: string): string {
  const [base = name] = name.split(".");
  if (base.endsWith("tokens_per_sec")) return "tokens/s";
  if (base.endsWith("requests_per_sec")) return "requests/s";
  return UNITS.find(([end]) => end.test(base))?.[1] ?? "";
}

/** Return the name of a measure in words: time to first token, p50. */
export function words(name: string): string {
  const [base = name, statistic] = name.split(".");
  const plain = UNITS.reduce((text, [end]) => text.replace(end, ""), base)
    .replace(/_per_sec$/, " per second")
    .replaceAll("_", " ");
  return statistic ? `${plain}, ${statistic}` : plain;
}
