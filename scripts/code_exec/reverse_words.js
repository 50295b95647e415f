const lines = require("fs").readFileSync(0, "utf8").replace(/\n$/, "").split("\n");
for (const line of lines) {
  console.log(line.split(" ").filter(Boolean).reverse().join(" "));
}
