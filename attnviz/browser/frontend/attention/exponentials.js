/* exponentials.js: e^x and log2, precise enough and several times as fast. No DOM. */

const expSteps = 2048,
  expFractions = Float64Array.from({ length: expSteps }, (_, i) => 2 ** (i / expSteps));
const expPowers = Float64Array.from({ length: 152 }, (_, i) => 2 ** -i);

/** e^x for x <= 0, within 1e-11 of Math.exp and several times as fast; 0 where float32 has nothing smaller. */
export function expOf(x) {
  if (x < -104) return 0;
  const steps = x * (expSteps / Math.LN2),
    whole = Math.floor(steps),
    rest = (steps - whole) * (Math.LN2 / expSteps);
  return expFractions[whole & (expSteps - 1)] * expPowers[-(whole >> 11)] * (1 + rest * (1 + rest / 2));
}

const logSteps = 2048,
  logFractions = Float64Array.from({ length: logSteps }, (_, i) => Math.log2(1 + i / logSteps));
const logNumber = new Float32Array(1),
  logBits = new Int32Array(logNumber.buffer);

/** log2 of a positive float32, within 1e-12 of Math.log2 and several times as fast. */
export function log2Of(x) {
  if (x < 2 ** -126) return Math.log2(x); // no exponent of its own
  logNumber[0] = x;
  const bits = logBits[0],
    step = (bits >> 12) & (logSteps - 1),
    rest = (bits & 4095) / (1 << 23) / (1 + step / logSteps);
  return (bits >> 23) - 127 + logFractions[step] + rest * (1 - rest * (1 / 2 - rest / 3)) * Math.LOG2E;
}
