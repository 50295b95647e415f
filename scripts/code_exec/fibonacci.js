const MODULUS = 1000000007n;

function pair(n) {
  if (n === 0n) return [0n, 1n];
  const [a, b] = pair(n / 2n);
  const c = (a * (2n * b - a + MODULUS)) % MODULUS;
  const d = (a * a + b * b) % MODULUS;
  return n % 2n ? [d, (c + d) % MODULUS] : [c, d];
}

console.log(String(pair(BigInt(require("fs").readFileSync(0, "utf8").trim()))[0]));
