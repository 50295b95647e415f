const counts = new Map();
for (const word of require("fs").readFileSync(0, "utf8").trim().split(/\s+/)) {
  const number = Number(word);
  counts.set(number, (counts.get(number) ?? 0) + 1);
}
const [best] = [...counts].sort(([a, m], [b, n]) => n - m || a - b)[0];
console.log(best);
