const text = require("fs").readFileSync(0, "utf8").trim().replace("-", "");
console.log([...text].reduce((sum, digit) => sum + Number(digit), 0));
