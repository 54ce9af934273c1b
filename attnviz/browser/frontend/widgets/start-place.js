/* start-place.js: where the start's card and ring stand over the page. Numbers only. */

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

const GAP = 14; // px between the part and the card
const EDGE = 12; // px to the edges of the window

const clamp = (/** @type {number} */ x, /** @type {number} */ low, /** @type {number} */ high) =>
  Math.max(low, Math.min(x, Math.max(low, high)));

const overlap = (/** @type {Box} */ a, /** @type {Box} */ b) =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

/**
 * Where a card stands beside a part: on the side that is asked for, else where there is room, else in a corner; over
 * what it speaks of only where there is no other place.
 * @param {Box} part
 * @param {{width: number, height: number}} card
 * @param {string} side "right", "left", "below" or "above"
 * @param {Box} room that is in view
 * @param {Box[]} spokenOf
 * @returns {{left: number, top: number}}
 */
export function cardPlace(part, card, side, room, spokenOf = []) {
  const right = room.left + room.width,
    bottom = room.top + room.height;
  const level = clamp(part.top, room.top + EDGE, bottom - card.height - EDGE);
  const along = clamp(part.left, room.left + EDGE, right - card.width - EDGE);
  const places = {
    right: { left: part.left + part.width + GAP, top: level },
    left: { left: part.left - card.width - GAP, top: level },
    below: { left: along, top: part.top + part.height + GAP },
    above: { left: along, top: part.top - card.height - GAP },
  };
  const fits = (/** @type {{left: number, top: number}} */ { left, top }) =>
    left >= room.left && left + card.width <= right && top >= room.top && top + card.height <= bottom;
  const [west, east] = [room.left + EDGE, right - card.width - EDGE],
    [north, south] = [room.top + EDGE, bottom - card.height - EDGE];
  const beside = [side, "right", "left", "below", "above"].map((name) => places[name]).filter(fits);
  const corners = [
    { left: east, top: south },
    { left: west, top: south },
    { left: east, top: north },
    { left: west, top: north },
  ];
  const clear = (/** @type {{left: number, top: number}} */ place) =>
    !spokenOf.some((box) => overlap({ ...place, ...card }, box));
  return [...beside, ...corners].find(clear) ?? beside[0] ?? corners[0];
}
