/* picture-text.js: the sentences beside a picture, as attnviz/web/vision/text.py writes them. No DOM. */
import { percent } from "../core/format.js";

const WORTH_SAYING = 0.01; // a second answer's probability
const NAMED = 3; // heads that are off, by name

/** a; a and b; a, b and c. */
const listed = (parts, separator) =>
  parts.length > 1 ? `${parts.slice(0, -1).join(separator)} and ${parts[parts.length - 1]}` : (parts[0] ?? "");

/**
 * The reader's changes; "" for none.
 *
 * @param {[number, number][]} off
 * @param {number} temperature
 * @param {{layers: number, heads: number}} model
 */
export function changesInWords(off, temperature, { layers, heads }) {
  const parts = [];
  const names = off.map(([layer, head]) => `layer ${layer}, head ${head}`);
  if (off.length > NAMED) parts.push(`${off.length} of ${layers * heads} heads switched off`);
  else if (off.length) parts.push(`${listed(names, "; ")} switched off`);
  if (temperature !== 1) parts.push(`τ = ${Number(temperature.toPrecision(6))} in every attention row`);
  return parts.join(" and ");
}

/**
 * What the model says, and what the change did to it.
 *
 * @param {[string, number, number][]} answers classes with their probabilities as trained and now
 * @param {string} changed
 * @param {number | null} meant what the writer of the digit meant, where that is known
 */
export function answerSentence(answers, changed, meant) {
  if (!answers.length)
    return "This model turns a picture into a vector and names no classes: its attention is shown, there is no answer.";
  const order = [...answers.keys()].sort((a, b) => answers[b][2] - answers[a][2] || a - b);
  const [first, second] = order;
  const named = (i) => `“${answers[i][0]}”`;
  let ranking = `${named(first)} with ${percent(answers[first][2])}`;
  if (second !== undefined && answers[second][2] >= WORTH_SAYING)
    ranking += `, ahead of ${named(second)} with ${percent(answers[second][2])}`;
  if (!changed) return `The model’s answer is ${ranking}.${truth(meant, answers[first][0])}`;
  const top = answers.reduce((best, row, i) => (row[1] > answers[best][1] ? i : best), 0);
  let was = `${named(top)} had ${percent(answers[top][1])} before`;
  if (top !== first) was += ` and has ${percent(answers[top][2])} now`;
  return `With ${changed}, the answer is ${ranking}; ${was}.`;
}

/** What the writer of a held-out digit meant. */
function truth(meant, answered) {
  if (meant === null) return "";
  const judged = String(meant) === answered ? "right" : "wrong";
  return ` The writer meant a ${meant}, so it is ${judged}; the model never saw this picture in training.`;
}
