const line = require("fs").readFileSync(0, "utf8").split("\n")[0];
let best = "";
for (let middle = 0; middle < 2 * line.length - 1; middle++) {
  let left = Math.floor(middle / 2);
  let right = Math.ceil(middle / 2);
  while (left >= 0 && right < line.length && line[left] === line[right]) {
    left--;
    right++;
  }
  if (right - left - 1 > best.length) best = line.slice(left + 1, right);
}
console.log(best);
