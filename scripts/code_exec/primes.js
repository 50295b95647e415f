const [first, last] = require("fs").readFileSync(0, "utf8").trim().split(/\s+/).map(Number);
const found = [];
for (let number = Math.max(first, 2); number <= last; number++) {
  let prime = true;
  for (let factor = 2; factor * factor <= number; factor++) {
    if (number % factor === 0) {
      prime = false;
      break;
    }
  }
  if (prime) found.push(number);
}
console.log(found.length ? found.join(" ") : "none");
