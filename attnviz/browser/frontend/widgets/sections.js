/* sections.js: a page as what is shown of it at a time before a class. A section goes from one of the page's headings
   to the next, and is cut where another picture begins: a question to guess has a screen of its own, and each picture
   one with the section's sentence above it. */

const HEADINGS = "h1, h2";
const MARKS = "[class*=st-key-lesson-slide-]"; // places that the page wants cut off from what stands above
const COMPONENTS = "[data-testid=stBidiComponentIsolated]"; // in a shadow of the page; a title in it is the page's
const TOOLS = ".st-key-page-tools"; // stand on every screen
const AROUND = ".st-key-course, .st-key-words, .st-key-start, .st-key-explore-start"; // on none: page.css hides them
const TRIES = "[class*=st-key-lesson-tries]";
const UNSEEN = "[class*=st-key-in-view-], [class*=st-key-lesson-done-]";
const OPEN =
  "[data-testid=stMain], .stMainBlockContainer, [data-testid=stVerticalBlock], [data-testid=stLayoutWrapper]";
const SENTENCE = "[class*=st-key-lesson-sentence-]";
const QUIZ = "[class*=st-key-lesson-predict-]";
const PARTS = `${SENTENCE}, ${QUIZ}, [class*=st-key-lesson-place-], [class*=st-key-lesson-room-]`; // are never cut
const PICTURES = ".av-chart, [data-av-matrix], [data-av-view]";
const CONTROLS = ".stSelectbox, .stRadio, .stButtonGroup, .stNumberInput, .stTextInput, .stSlider, [class*=-dial]";
const LONG = `.stTextArea, .stCode, .stHtml, ${COMPONENTS}:not([class*=-dial] *)`; // take a column, not a row
const LEADS = `${PICTURES}, ${SENTENCE}, ${CONTROLS}, .katex-display`; // after a picture they begin what is another's

const SHOWN = `${PICTURES}, ${SENTENCE}, ${LONG}, .stMarkdown, .stText, .stExpander`; // more than what is worked

const has = (block, parts) => block.matches(parts) || block.querySelector(parts) !== null;

/** How many headings, or places that stand for one, are in a block of the page. */
function headingsIn(block) {
  const hosts = [...block.querySelectorAll(COMPONENTS)].filter((host) => host.shadowRoot?.querySelector("h1"));
  return block.querySelectorAll(HEADINGS).length + hosts.length;
}

/** The blocks of the page that hold others, which stand below each other. */
const holdsBlocks = (block) => block.matches(OPEN) && !block.matches(PARTS);

/**
 * The page's blocks from top to bottom, each as small as it can stand alone. Columns stay beside each other.
 * @param {Element} container
 * @returns {Element[]}
 */
export function blocksOf(container) {
  if (container.matches(`${TOOLS}, ${AROUND}`)) return [];
  return holdsBlocks(container) ? [...container.children].flatMap(blocksOf) : [container];
}

/**
 * The blocks that are shown at a time, one list after the other.
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
  return joined(sections.flatMap(screensOf));
}

/** Controls alone go before what follows them, and things to try after what they change. */
function joined(screens) {
  const isShown = (block) => headingsIn(block) > 0 || (has(block, `${SHOWN}, ${QUIZ}`) && !block.matches(TRIES)),
    isNothing = (screen) => !screen.some(isShown);
  /** @type {Element[][]} */
  const kept = [];
  let waiting = [];
  screens.forEach((screen, i) => {
    const controls = screen.some((block) => has(block, CONTROLS));
    if (!isNothing(screen) || (!kept.length && i === screens.length - 1)) kept.push([...waiting, ...screen]);
    else if ((controls || !kept.length) && i < screens.length - 1) return void (waiting = [...waiting, ...screen]);
    else kept[kept.length - 1].push(...waiting, ...screen);
    waiting = [];
  });
  return kept;
}

/** A section cut after its question to guess, at the page's marks, and where what belongs to another picture begins. */
function screensOf(section) {
  /** @type {Element[][]} */
  const screens = [[]],
    sentence = section.find((block) => has(block, SENTENCE));
  let asked = false,
    pictured = false,
    mark = null;
  for (const block of section) {
    const asks = has(block, QUIZ),
      isMarked = block.closest(MARKS) !== mark && block.closest(MARKS) !== null;
    mark = block.closest(MARKS);
    if (!has(block, UNSEEN) && ((asked && !asks) || isMarked || (pictured && has(block, LEADS)))) {
      screens.push([]);
      asked = pictured = false;
    }
    asked ||= asks;
    pictured ||= has(block, PICTURES);
    screens[screens.length - 1].push(block);
  }
  const needs = (screen) =>
    screen.some((block) => has(block, PICTURES)) && !screen.some((block) => has(block, SENTENCE));
  for (const screen of screens) if (sentence && needs(screen)) screen.unshift(sentence);
  return screens.filter((screen) => screen.length);
}

/**
 * Marks what is not shown, also what holds nothing that is, and the columns of controls beside a picture.
 * @param {Element} container
 * @param {(block: Element) => boolean} isShown
 * @returns {boolean} whether anything in it is shown
 */
export function markAway(container, isShown) {
  if (container.matches(`${TOOLS}, ${AROUND}`)) return container.matches(TOOLS);
  const shown = holdsBlocks(container)
    ? [...container.children].map((child) => markAway(child, isShown)).some(Boolean)
    : isShown(container);
  container.toggleAttribute("data-av-away", !shown);
  for (const column of container.matches("[data-testid=stHorizontalBlock]") ? container.children : [])
    column.toggleAttribute("data-av-controls", has(container, PICTURES) && isOfControls(column));
  return shown;
}

const isOfControls = (column) => has(column, CONTROLS) && !has(column, `${PICTURES}, ${LONG}`);
