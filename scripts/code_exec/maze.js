const rows = require("fs").readFileSync(0, "utf8").trim().split(/\s+/);
const steps = rows.map((row) => Array(row.length).fill(-1));
const y = rows.findIndex((row) => row.includes("S"));
const waiting = [[rows[y].indexOf("S"), y]];
steps[y][rows[y].indexOf("S")] = 0;
let found = -1;
for (let at = 0; at < waiting.length; at++) {
  const [x, y] = waiting[at];
  if (rows[y][x] === "E") {
    found = steps[y][x];
    break;
  }
  for (const [a, b] of [[x + 1, y], [x - 1, y], [x, y + 1], [x, y - 1]]) {
    if (rows[b]?.[a] && rows[b][a] !== "#" && steps[b][a] < 0) {
      steps[b][a] = steps[y][x] + 1;
      waiting.push([a, b]);
    }
  }
}
console.log(found);
