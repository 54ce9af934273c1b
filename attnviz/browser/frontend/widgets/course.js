/* course.js: the lessons in their order (a Streamlit component, components v2): all of them, or at the foot of one the
   next. The data is {chapters: [{page, title, asks, minutes, needs: [title]}], done: [page], here: a page or null,
   following: the page after it, or null}. */
import { component } from "../core/bridge.js";
import { el } from "../core/dom.js";
import { doneLessons, onRemembered, rememberDone } from "../core/memory.js";
import { addressOf, placeLink } from "../core/places.js";

/** "Start the minute" of the view on this page: start.js listens. */
const START = "attnviz-start";

const goTo = (course, page, start = false) => course.tell.trigger("go", start ? { page, start } : { page });

const linkTo = (course, page, ...children) => placeLink(addressOf(page), () => goTo(course, page), ...children);

const needsText = ({ needs }) => (needs.length ? `after ${needs.join(" and ")}` : "for a start");

/** The sign of a lesson that is done, with its word. */
const doneSign = () => el("span", { class: "done" }, "✓ done");

function startLink(course) {
  if (course.data.here !== "explore")
    return placeLink(addressOf("explore", { start: "1" }), () => goTo(course, "explore", true), "The 60-second start");
  const onclick = () => document.dispatchEvent(new Event(START));
  return el("button", { type: "button", onclick }, "The 60-second start");
}

function lessonRow(course, chapter, done) {
  const facts = el("span", { class: "facts" }, `${chapter.minutes}\u202fmin, ${needsText(chapter)}`);
  return el(
    "li",
    { class: done.has(chapter.page) ? "is-done" : null },
    el("strong", {}, linkTo(course, chapter.page, chapter.title)),
    el("span", { class: "asks" }, chapter.asks),
    facts,
    done.has(chapter.page) ? doneSign() : null,
  );
}

function wholeCourse(course, done) {
  const { chapters } = course.data;
  const known = chapters.filter(({ page }) => done.has(page)).length;
  const first = chapters.find(({ page }) => !done.has(page));
  const minutes = chapters.reduce((sum, chapter) => sum + chapter.minutes, 0);
  const goOn = first && ["go on with ", linkTo(course, first.page, first.title)];
  return [
    el("p", { class: "lead" }, startLink(course), " is the way in, if transformers are new to you."),
    el("ol", {}, ...chapters.map((chapter) => lessonRow(course, chapter, done))),
    known
      ? el("p", { class: "lead" }, `${known} of ${chapters.length} done; `, ...(goOn ?? ["that is all of them"]), ".")
      : el("p", { class: "lead" }, `${chapters.length} lessons, about ${minutes} minutes in all.`),
  ];
}

/** What stands at the foot of a lesson. */
function lessonFoot(course, done) {
  const { chapters, here, following } = course.data;
  const chapter = chapters.find(({ page }) => page === following);
  const next = chapter && [
    el("span", { class: "word" }, "Next"),
    el("strong", {}, linkTo(course, chapter.page, chapter.title)),
    el("span", { class: "asks" }, chapter.asks),
    el("span", { class: "facts" }, `${chapter.minutes}\u202fmin, ${needsText(chapter)}`),
  ];
  const spaced = (next ?? ["This was the last lesson."]).flatMap((part) => [part, " "]); // for who hears or copies it
  return [
    el("p", { class: "next" }, ...spaced),
    el(
      "p",
      { class: "ways" },
      done.has(here) ? el("span", { class: "done" }, "✓ This lesson is done") : null,
      linkTo(course, "lessons", "All lessons"),
      linkTo(course, "glossary", "Glossary"),
      here === "explore" ? startLink(course) : null,
    ),
  ];
}

function draw(course) {
  const { data, root } = course;
  const done = new Set(doneLessons());
  const shown = JSON.stringify([data, [...done].sort()]);
  if (course.shown === shown) return;
  course.shown = shown;
  const isNew = course.here !== data.here; // a page that was reached by this very link begins at its top
  course.here = data.here;
  const at = isNew ? -1 : [...root.querySelectorAll("a, button")].indexOf(root.getRootNode().activeElement);
  root.replaceChildren(
    data.here === null
      ? el("section", { "aria-label": "The lessons in their order" }, wholeCourse(course, done))
      : el("nav", { class: "foot", "aria-label": "Lessons" }, lessonFoot(course, done)),
  );
  if (at >= 0) root.querySelectorAll("a, button")[at]?.focus({ preventScroll: true });
}

export default component(".aw-course", {
  mount(root, data, tell) {
    const course = { root, data, tell, shown: "", forget: () => {} };
    data.done.forEach(rememberDone);
    course.forget = onRemembered(() => draw(course));
    draw(course);
    return course;
  },
  update(course, data) {
    course.data = data;
    data.done.forEach(rememberDone);
    draw(course);
  },
  destroy: (course) => course.forget(),
});
