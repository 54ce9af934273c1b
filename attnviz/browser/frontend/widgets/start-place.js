/* start-place.js: where the start's card and ring stand over the page. Numbers only. */

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

const GAP = 14; // px between the part and the card
const EDGE = 12; // px to the edges of the window

const clamp = (/** @type {number} */ x, /** @type {number} */ low, /** @type {number} */ high) =>
  Math.max(low, Math.min(x, Math.max(low, high)));

/**
 * Where a card stands beside a part: on the side that is asked for, else where there is room, else over its end.
 * @param {Box} part
 * @param {{width: number, height: number}} card
 * @param {string} side "right", "left", "below" or "above"
 * @param {Box} room that is in view
 * @returns {{left: number, top: number}}
 */
export function cardPlace(part, card, side, room) {
  const right = room.left + room.width,
    bottom = room.top + room.height;
  const beside = clamp(part.top, room.top + EDGE, bottom - card.height - EDGE);
  const along = clamp(part.left, room.left + EDGE, right - card.width - EDGE);
  const places = {
    right: { left: part.left + part.width + GAP, top: beside },
    left: { left: part.left - card.width - GAP, top: beside },
    below: { left: along, top: part.top + part.height + GAP },
    above: { left: along, top: part.top - card.height - GAP },
  };
  const fits = (/** @type {{left: number, top: number}} */ { left, top }) =>
    left >= room.left && left + card.width <= right && top >= room.top && top + card.height <= bottom;
  const order = [side, "right", "left", "below", "above"];
  const fitting = order.map((name) => places[name]).find(fits);
  return fitting ?? { left: right - card.width - EDGE, top: bottom - card.height - EDGE };
}
