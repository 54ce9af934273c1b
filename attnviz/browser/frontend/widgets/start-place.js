/* start-place.js: where the start's card and ring stand over the page. Numbers only. */

/** @typedef {{left: number, top: number, width: number, height: number}} Box */

const GAP = 14; // px between the part and the card
const EDGE = 12; // px to the edges of the window

const clamp = (/** @type {number} */ x, /** @type {number} */ low, /** @type {number} */ high) =>
  Math.max(low, Math.min(x, Math.max(low, high)));

/** How much two boxes have in common, in px². @param {Box} a @param {Box} b */
const overlap = (a, b) =>
  Math.max(0, Math.min(a.left + a.width, b.left + b.width) - Math.max(a.left, b.left)) *
  Math.max(0, Math.min(a.top + a.height, b.top + b.height) - Math.max(a.top, b.top));

/**
 * Where a card stands beside a part: on the side that is asked for, else where there is room, else in a corner, and in
 * its narrower form if that has a place; over what it speaks of only where there is no other place, and then over as
 * little of it as can be.
 * @param {Box} part
 * @param {{width: number, height: number}[]} cards its forms, the one preferred first
 * @param {string} side "right", "left", "below" or "above"
 * @param {Box} room that is in view
 * @param {Box[]} spokenOf
 * @returns {Box}
 */
export function cardPlace(part, cards, side, room, spokenOf = []) {
  const places = cards.flatMap((card) => placesOf(part, card, side, room));
  const covered = places.map((place) => spokenOf.reduce((sum, box) => sum + overlap(place, box), 0));
  return places[covered.indexOf(Math.min(...covered))];
}

/** The places of one form of the card, the best first. @returns {Box[]} */
function placesOf(part, card, side, room) {
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
  return [...beside, ...corners].map((place) => ({ ...place, ...card }));
}
