const signs = require("fs").readFileSync(0, "utf8").match(/\d+|[-+*/()]/g);

function total() {
  let value = product();
  while (signs[0] === "+" || signs[0] === "-") {
    value += signs.shift() === "+" ? product() : -product();
  }
  return value;
}

function product() {
  let value = factor();
  while (signs[0] === "*" || signs[0] === "/") {
    value = signs.shift() === "*" ? value * factor() : Math.trunc(value / factor());
  }
  return value;
}

function factor() {
  const sign = signs.shift();
  if (sign === "-") return -factor();
  if (sign !== "(") return Number(sign);
  const value = total();
  signs.shift();
  return value;
}

console.log(String(total() + 0));
