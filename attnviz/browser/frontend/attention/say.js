/* say.js: what the view says in words: the sentence, the entropy, what is read aloud, the list that stands for a
   picture. */
import { el, plainLabel, tokenNode } from "../core/dom.js";
import { number, percent, points } from "../core/format.js";
import { argmax, entropy, seenBy } from "./entropy.js";

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
  if (focus.q < 0 || focus.k < 0) return ["Choose a word to see where it looks."];
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
    change === null ? "." : `, ${pointsText(change)} than in the trained model.`,
  ];
}

/** A change of a share in words: 11 points less. */
export function pointsText(change) {
  const text = points(change);
  if (text === "0") return "no more and no less";
  return `${text.replace(/^[+−]/, "")} points ${change < 0 ? "less" : "more"}`;
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

/** Of how many keys a head's rows divide their attention among some; "" where that was not counted. */
function ofSeen(seen, nk) {
  if (!seen) return "";
  const [least, most] = seen;
  if (least === nk) return ` of ${nk}`;
  return ` of ${least === most ? most : `${least}–${most}`} allowed`; // short: a longer one would make the page wider
}

/**
 * How far attention spreads, as a small table: the row in focus, and the head on average, with the change against the
 * model as trained.
 *
 * @param {import("./selectors-scene.js").Scene} scene
 * @param {import("./shown.js").Spread} spread the rows that it is of
 * @param {{mean: number, meanBefore: number | null, seen: [number, number] | null}} means of the head, and how many
 *   keys its rows may see, fewest and most
 * @param {string} what tokens or words
 */
export function entropyNodes({ focus, queries, allowed, keys }, spread, { mean, meanBefore, seen }, what) {
  const { a, before, nk } = spread;
  const at = focus.q * nk;
  const line = (name, ...cells) => el("tr", {}, el("th", { scope: "row" }, name), cells);
  const cell = (...children) => el("td", {}, children);
  const row = (name, now, was, of) => {
    const same = was == null || Math.abs(now - was) < 0.005;
    const change = same ? "" : ` (${now > was ? "+" : ""}${number(now - was)})`;
    return line(name, cell(sayStrong((2 ** now).toFixed(1)), of), cell(sayStrong(number(now)), `\u202fbits${change}`));
  };
  const lines = [];
  if (focus.q >= 0 && !Number.isNaN(a[at])) {
    const name = tokenNode(queries[focus.q], "name");
    if (seesNothing({ allowed, keys }, focus.q))
      lines.push(line(name, el("td", { colspan: "2" }, "may attend to nothing")));
    else {
      const n = seenBy(spread.allowed, focus.q, nk);
      const of = n === nk ? ` of ${nk}` : ` of ${n} allowed`;
      lines.push(row(name, entropy(a, at, nk), before ? entropy(before, at, nk) : null, of));
    }
  }
  lines.push(row("this head, on average", mean, meanBefore, ofSeen(seen, nk)));
  const head = ["", `effective number of ${what}`, "entropy"].map((text) => el("th", { scope: "col" }, text));
  return [el("thead", {}, el("tr", {}, head)), el("tbody", {}, lines)];
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
