/* outbox.js: what the page around is told: the state once it rests, and that the whole model shall run with a change.
   No DOM. */
import { stateText } from "./store.js";
import { isChanged } from "./selectors.js";

const SEND_AFTER = 250; // ms after the last change: a drag is one change
const SEND_SOON = 60; // if a run is waited for that the page's server makes
const PATIENCE = 15_000; // ms that a run may take

export class Outbox {
  /**
   * @param {import("./store.js").Store} store
   * @param {object} options
   * @param {Partial<import("./state.js").State> | null} [options.given] what the page gave at the start
   * @param {((state: import("./state.js").State) => void) | null} [options.onState]
   * @param {((state: import("./state.js").State) => boolean | void) | null} [options.onRun]
   * @param {() => void} options.onLate when a run does not come
   */
  constructor(store, { given, onState, onRun, onLate }) {
    this.store = store;
    this.onState = onState;
    this.onRun = onRun;
    this.onLate = onLate;
    this.given = given && stateText(given);
    this.elsewhere = false; // whether the run that is waited for rests on what is sent
    this.held = false; // while a stroke is painted: all of it is one change
    this.sent = JSON.stringify(store.state);
    this.sending = 0;
    this.patience = 0;
  }

  send() {
    clearTimeout(this.sending);
    if (!this.held)
      this.sending = setTimeout(() => this.flush(), this.store.pending && this.elsewhere ? SEND_SOON : SEND_AFTER);
  }

  flush() {
    clearTimeout(this.sending);
    const text = JSON.stringify(this.store.state);
    if (text === this.sent || !this.onState) return;
    this.sent = text;
    this.onState(JSON.parse(text));
  }

  /** Whether the page has chosen this state, and not merely sent back what it was told. */
  isNews(given) {
    const text = given && stateText(given);
    const news = Boolean(text) && text !== this.sent && text !== this.given;
    this.given = text || this.given;
    return news;
  }

  /** Tells the page the state once more. */
  again() {
    this.sent = "";
    this.flush();
  }

  /** The state is the page's own. */
  agree() {
    this.sent = JSON.stringify(this.store.state);
  }

  /** Asks for a run of the model with the change; the old picture stays until the answer is here. */
  run() {
    const { store } = this;
    if (!store.state.whole) return void this.wait(false);
    if (!isChanged(store) && !store.model.before) return;
    this.wait(true);
    this.elsewhere = this.onRun(store.state) !== true;
  }

  wait(pending) {
    clearTimeout(this.patience);
    this.store.wait(pending);
    if (!pending) return;
    this.patience = setTimeout(() => {
      this.wait(false);
      this.onLate();
    }, PATIENCE);
  }

  stop() {
    this.flush();
    clearTimeout(this.patience);
  }
}
