/* view.js: the attention view. Puts the store, what is shown, and the parts of a page together, and answers the page
   around. */
import { forgetWidths } from "../core/canvas.js";
import { isDark } from "../core/theme.js";
import { Asking } from "./asking.js";
import { Brush } from "./brush.js";
import { Choices } from "./choices.js";
import { CompactPage } from "./compact.js";
import { follow } from "./follow.js";
import { Frames } from "./frames.js";
import { Heads } from "./heads.js";
import { Outbox } from "./outbox.js";
import { FullPage } from "./page.js";
import { Screen } from "./screen.js";
import { brokenText } from "./selectors.js";
import { Shown } from "./shown.js";
import { Store } from "./store.js";
import { unpack } from "./unpack.js";
import { Voice } from "./voice.js";
import { Zoom } from "./zoom.js";

/** @typedef {import("./state.js").State} State */

/**
 * @typedef {object} Options
 * @property {Uint8Array} message
 * @property {Partial<State> | null} [state]
 * @property {string} [question] stands above the view
 * @property {import("./compact.js").Compact | null} [compact] the small form for lessons
 * @property {((state: State) => void) | null} [onState] called 250 ms after the last choice (60 ms if a run is waited
 *   for)
 * @property {((state: State) => boolean | void) | null} [onRun] called at once when the whole model shall run with a
 *   change, and says whether it answers by itself; without it the view offers no rerun
 * @property {((kind: string) => void) | null} [onExport] for exports that need the server
 * @property {((question: import("./cell-actions.js").Question) => void) | null} [onAsk] for what another page shows
 *   of a cell
 * @property {string[][] | null} [cards] what each head is for, by layer and head, where the page knows
 * @property {string | null} [noLivePage] why the server writes no page in which the model runs; "" where it does
 * @property {number} [reach] how many tokens of a text the other pages show
 */

/** Shows the message in root and keeps it in step. @param {HTMLElement} root @param {Options} options */
export function mount(root, options) {
  const view = new AttentionView(root, options);
  return { update: (next) => view.update(next), destroy: () => view.destroy(), view };
}

/** What the parts of one view share; each takes what it needs. */
export class AttentionView {
  /** @param {HTMLElement} root @param {Options} options */
  constructor(root, options) {
    const { message, state = null, question = "Where does each word look?", compact = null } = options;
    root.classList.add("av");
    this.bytes = message;
    this.onExport = options.onExport;
    this.onAsk = options.onAsk && ((question) => (this.outbox.flush(), options.onAsk(question)));
    this.reach = options.reach ?? 0;
    this.cards = options.cards ?? null;
    this.noLivePage = options.noLivePage ?? null;
    this.store = new Store({ model: unpack(message), state, compact: compact !== null, live: !!options.onRun });
    this.shown = new Shown(this.store);
    this.asking = new Asking(this.store, this.shown);
    this.heads = new Heads(this.store, this.shown, this.asking);
    this.screen = new Screen(root);
    this.frames = new Frames(() => this.frame());
    this.voice = new Voice(this.store, this.shown, this.screen, (k) => this.heads.label(k));
    this.outbox = new Outbox(this.store, { ...options, given: state, onLate: () => this.compute() });
    this.choices = new Choices(this.store, this.shown, () => this.voice.speakSoon());
    this.zoom = new Zoom(this.store, this.shown, this.screen);
    this.brush = new Brush(this.store, this.shown, this.outbox, {
      onStroke: () => this.frames.mark("controls"),
      onUndone: () => this.voice.speakSoon(),
    });
    this.page = compact ? new CompactPage(this, compact) : new FullPage(this, question);
    this.store.listen((names) => follow(names, this));
    this.show();
    this.watch();
  }

  /** Builds the page and paints it for the first time. */
  show() {
    this.page.build();
    this.warn();
    this.page.syncControls(); // before measuring: their texts take room
    this.page.measure();
    this.compute();
    this.page.paint();
    this.sizes = this.screen.sizes();
    this.painted = false; // whether what is in view has been on screen
  }

  /** Everything that rests on the settings, anew. */
  compute(parts = "all") {
    this.shown.forget("scene");
    this.heads.restart();
    this.asking.restart();
    this.frames.mark(parts, "controls");
  }

  /** One frame: heads that are not in view, once what is in view has been seen; then what has changed. */
  frame() {
    if (this.painted) this.page.work();
    this.painted = true;
    this.page.paint();
    if (!this.frames.waiting()) this.showWaiting();
    if (this.heads.queue.length || !this.asking.done) this.frames.ask();
  }

  /** Says what cannot be shown. */
  warn() {
    const { note } = this.screen.node;
    note.textContent = brokenText(this.store.model);
    note.hidden = !note.textContent;
  }

  /** Says whether a run is waited for. */
  showWaiting() {
    const { main } = this.screen.node;
    if (main.classList.contains("av-busy") === this.store.pending) return;
    main.classList.toggle("av-busy", this.store.pending);
    main.setAttribute("aria-busy", String(this.store.pending));
  }

  /* ---- from the page around ------------------------------------------------------------- */

  /** A new message or a state that the page chose. What the view itself sent does not come back in. */
  update({ message = null, state = null, compact = null, cards = this.cards, noLivePage = this.noLivePage }) {
    this.noLivePage = noLivePage;
    if (JSON.stringify(cards) !== JSON.stringify(this.cards)) {
      this.cards = cards;
      this.frames.mark("ask");
    }
    if (compact) this.page.describe(compact);
    const news = this.outbox.isNews(state);
    const other = message && !sameBytes(message, this.bytes);
    if (!news && !other) {
      if (isDark(this.screen.root) !== this.screen.theme.dark) this.onTheme();
      return;
    }
    const before = this.store.model;
    if (other) this.load(message); // before the state: the tokens it names may be those of the new text
    if (news) {
      this.store.replace(state);
      this.outbox.agree();
    }
    if (other) this.fit(before);
    this.screen.readTheme();
    this.page.measure();
    this.compute();
    if (!other) return;
    this.frames.arrive();
    this.frames.now(); // a run took its time already: its picture does not wait for a frame
  }

  /** @param {Uint8Array} message */
  load(message) {
    this.bytes = message;
    this.store.load(unpack(message));
    this.heads.load();
    this.shown.forget("scene");
    this.outbox.wait(false);
  }

  /** After a new message: what may not fit it. @param {import("./unpack.js").Model} before */
  fit(before) {
    const { model, state } = this.store;
    if (before.T !== model.T || before.S !== model.S || before.layersN !== model.layersN) {
      this.store.replace({ ...state, zoom: null });
      this.heads.thumbs = [];
    }
    this.page.rebuild();
    this.warn();
  }

  /* ---- from the browser ------------------------------------------------------------------- */

  watch() {
    const { root, node } = this.screen;
    this.observer = new ResizeObserver(() => this.resize());
    for (const e of [root, node.gridStage, node.matrix, node.lines]) if (e) this.observer.observe(e);
    this.gone = new AbortController();
    const { signal } = this.gone;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.onTheme(), { signal });
    document.fonts?.addEventListener("loadingdone", () => this.onFonts(), { signal });
    addEventListener("resize", () => this.resize(), { signal });
    addEventListener("av-scale", () => this.onScale(), { signal }); // the page is presented, or not any more
    addEventListener("av-paper", () => this.onPaper(), { signal });
    root.addEventListener("keydown", (e) => e.key === "Escape" && this.escape(e), { signal });
    for (const kind of ["pointermove", "pointerdown", "keydown"])
      root.addEventListener(kind, () => this.frames.touch(), { passive: true, signal });
  }

  onTheme() {
    this.screen.readTheme();
    this.frames.mark("all");
  }

  /** Paper waits for no frame. */
  onPaper() {
    if (isDark(this.screen.root) !== this.screen.theme.dark) this.onTheme();
    this.page.finish();
  }

  onScale() {
    this.voice.hideTip(); // what it stands at moves away
    this.onTheme();
    this.resize();
  }

  /** Fonts that have come late change every width. */
  onFonts() {
    forgetWidths();
    this.sizes = "";
    this.resize();
  }

  /** Measures again, and paints again if anything has another size. */
  resize() {
    this.page.measure();
    const sizes = this.screen.sizes();
    if (sizes === this.sizes) return;
    this.sizes = sizes;
    this.frames.mark("all");
  }

  /** @param {KeyboardEvent} e */
  escape(e) {
    if (this.choices.any()) e.stopPropagation();
    this.voice.hideTip();
    this.choices.letGo();
  }

  destroy() {
    this.outbox.stop();
    this.voice.stop();
    this.frames.stop();
    this.observer.disconnect();
    this.gone.abort();
    this.screen.root.textContent = "";
  }
}

/** @param {Uint8Array} a @param {Uint8Array} b */
export function sameBytes(a, b) {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
