/* sections.js: the sections of a page, each from one of its headings to the next; where a picture would stand too low,
   the page has marked a place that begins another. */

const HEADINGS = "h1, h2, [class*=st-key-lesson-slide-]";
const COMPONENTS = "[data-testid=stBidiComponentIsolated]"; // in a shadow of the page; a title in it is the page's
const TOOLS = ".st-key-page-tools";

/** How many headings, or places that stand for one, are in a block of the page. */
function headingsIn(block) {
  const hosts = [...block.querySelectorAll(COMPONENTS)].filter((host) => host.shadowRoot?.querySelector("h1"));
  return block.querySelectorAll(HEADINGS).length + hosts.length;
}

/**
 * The page's blocks from top to bottom: as large as they can be with one heading each. Columns stay beside each other.
 * @param {Element} container
 * @returns {Element[]}
 */
export function blocksOf(container) {
  if (container.matches(TOOLS)) return []; // they stand in every section
  if (headingsIn(container) < 2 || container.matches("[data-testid=stHorizontalBlock]")) return [container];
  return [...container.children].flatMap(blocksOf);
}

/**
 * The blocks by sections; what comes before the first heading belongs to its section.
 * @param {Element[]} blocks
 */
export function sectionsOf(blocks) {
  /** @type {Element[][]} */
  const sections = [];
  let headed = false;
  for (const block of blocks) {
    const heads = headingsIn(block) > 0;
    if (!sections.length || (heads && headed)) sections.push([]);
    headed ||= heads;
    sections[sections.length - 1].push(block);
  }
  return sections;
}
