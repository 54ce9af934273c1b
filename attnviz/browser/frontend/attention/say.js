/* say.js: what the view says in words: the sentence, the entropy, what is read aloud, the list that stands for a
   picture. */
import { el, plainLabel, tokenNode } from "../core/dom.js";
import { number, percent, points } from "../core/format.js";
import { argmax, entropy } from "./entropy.js";

const sayStrong = (text) => el("b", {}, text);

/** Tokens in a row: a, b and c; more than three are counted. */
function sayTokens(list, indices, kind) {
  const shown = indices.slice(0, 3),
    rest = indices.length - shown.length,
    nodes = [];
  shown.forEach((i, n) => {
    if (n) nodes.push(n === shown.length - 1 && !rest ? " and " : ", ");
    nodes.push(tokenNode(list[i], kind));
  });
  if (rest) nodes.push(` and ${rest} more`);
  return nodes;
}

/** Whether the mask leaves a query no key at all. */
const seesNothing = (scene, q) => scene.allowed !== null && !scene.keys.some((_, j) => scene.allowed(q, j));

/** The sentence under the question, as nodes. */
export function sentence(scene, layer, head) {
  const { a, nk, focus, queries, keys } = scene,
    where = `In layer ${layer}, head ${head}, `;
  if (focus.q < 0 || focus.k < 0) return ["Point at a word to see where it looks; click to keep it."];
  const value = a[focus.q * nk + focus.k];
  if (!Number.isFinite(value))
    return [where, ...sayTokens(queries, [focus.q], "q"), " has weights that are not numbers (NaN)."];
  if (focus.queries.length > 1) {
    let sum = 0;
    for (const q of focus.queries) sum += a[q * nk + focus.k];
    const n = focus.queries.length,
      share = [sayStrong(`${number(sum)} of ${n}`), ` (${percent(sum / n)})`];
    return [
      where,
      ...sayTokens(queries, focus.queries, "q"),
      " together give ",
      ...share,
      " to ",
      ...sayTokens(keys, [focus.k], "k"),
      ".",
    ];
  }
  if (scene.allowed && !scene.allowed(focus.q, focus.k)) {
    if (seesNothing(scene, focus.q))
      return [
        where,
        ...sayTokens(queries, [focus.q], "q"),
        " may attend to nothing: the mask leaves it no key, so all its weights are ",
        sayStrong("0"),
        ".",
      ];
    return [
      where,
      ...sayTokens(queries, [focus.q], "q"),
      " cannot see ",
      ...sayTokens(keys, [focus.k], "k"),
      scene.painted?.(focus.q, focus.k) ? ": the cell is blocked by hand." : ": the mask hides it.",
    ];
  }
  const change = scene.change ? scene.change[focus.q * nk + focus.k] : null;
  return [
    where,
    ...sayTokens(queries, [focus.q], "q"),
    " gives ",
    sayStrong(percent(value)),
    " of its attention to ",
    ...sayTokens(keys, [focus.k], "k"),
    change === null ? "." : `, ${points(change)} points against the model as trained.`,
  ];
}

/** What a screen reader hears for the cell in focus; `name` tells the head. */
export function spoken(scene, name) {
  const { a, nk, focus, queries, keys } = scene,
    start = name[0].toLowerCase() + name.slice(1);
  if (focus.q < 0 || focus.k < 0) return `${start}: no token chosen`;
  const value = a[focus.q * nk + focus.k];
  const [query, key] = [plainLabel(queries[focus.q]), plainLabel(keys[focus.k])];
  const told = (share) => `${start}: '${query}' attends to '${key}' ${share}`;
  if (!scene.allowed || scene.allowed(focus.q, focus.k)) return told(percent(value));
  return told(seesNothing(scene, focus.q) ? "not at all, its whole row is masked" : "not at all, masked");
}

/** Two lines on how far attention spreads, with the change against the model as trained. */
export function entropyNodes(scene, mean, meanBefore, what) {
  const { a, before, nk, focus, queries } = scene,
    lines = [];
  const bits = (now, was) =>
    was == null || Math.abs(now - was) < 0.005
      ? [sayStrong(number(now)), " bits"]
      : [sayStrong(number(now)), ` bits (${now > was ? "+" : ""}${number(now - was)})`];
  if (focus.q >= 0 && !Number.isNaN(a[focus.q * nk + focus.k])) {
    const now = entropy(a, focus.q * nk, nk),
      was = before ? entropy(before, focus.q * nk, nk) : null;
    if (seesNothing(scene, focus.q))
      lines.push(el("span", {}, "“", tokenNode(queries[focus.q], "name"), "” may attend to nothing"));
    else
      lines.push(
        el(
          "span",
          {},
          "“",
          tokenNode(queries[focus.q], "name"),
          "” spreads over ",
          sayStrong((2 ** now).toFixed(1)),
          ` of ${nk} ${what}, entropy `,
          ...bits(now, was),
        ),
      );
  }
  lines.push(
    el(
      "span",
      {},
      "the head on average over ",
      sayStrong((2 ** mean).toFixed(1)),
      ", entropy ",
      ...bits(mean, meanBefore),
    ),
  );
  return lines;
}

/** The head in words: for every query the keys that get most. */
export function headText(scene, most = 3) {
  const { a, nq, nk, queries, keys } = scene;
  return Array.from({ length: nq }, (_, i) => {
    const row = Array.from({ length: nk }, (_, j) => j)
      .filter((j) => a[i * nk + j] >= 0.01)
      .sort((x, y) => a[i * nk + y] - a[i * nk + x])
      .slice(0, most);
    const shares = row.map((j) => `${plainLabel(keys[j])} ${percent(a[i * nk + j])}`).join(", ");
    return `${plainLabel(queries[i])} → ${shares || "nothing"}`;
  });
}

/** One sentence on a head, for the description of its picture. */
export function headSummary(scene, layer, head) {
  const { a, nq, nk, queries, keys } = scene;
  if (!nq || !nk) return "No tokens.";
  let best = 0;
  for (let p = 1; p < nq * nk; p++) if (a[p] > a[best]) best = p;
  const seen = new Float32Array(nk);
  for (let i = 0; i < nq; i++) for (let j = 0; j < nk; j++) seen[j] += a[i * nk + j];
  const top = argmax(seen, 0, nk);
  const largest = `'${plainLabel(queries[(best / nk) | 0])}' to '${plainLabel(keys[best % nk])}', ${percent(a[best])}`;
  const most = `'${plainLabel(keys[top])}', on average ${percent(seen[top] / nq)}`;
  return `Layer ${layer}, head ${head}, ${nq} queries by ${nk} keys. Largest weight: ${largest}. Seen most: ${most}.`;
}
