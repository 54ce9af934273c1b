/* frames.js: when to paint. What has changed is marked and painted in the next frame; while a slider or the pointer
   moves, what stands beside the matrix follows in turn, one part per frame. */

const AT_WORK = 60; // ms for which a touch leaves almost nothing for what is not in view
const SETTLED = 200; // ms after its last change a slider counts as still
const IDLE_BUDGET = 40; // ms of each frame that may go into heads that are not in view: while nobody touches anything,
const FRAME_BUDGET = 7; // shortly after,
const DRAG_BUDGET = 1; // and while a slider moves

export class Frames {
  /** @param {() => void} run does the work of one frame */
  constructor(run) {
    this.run = run;
    /** @type {Set<string>} parts to paint in the next frame */
    this.dirty = new Set();
    /** @type {Set<string>} parts that may follow later */
    this.later = new Set();
    this.moving = false;
    this.changedAt = -Infinity;
    this.changed = "";
    this.touched = 0;
    this.request = 0;
  }

  /** @param {string[]} parts */
  mark(...parts) {
    for (const part of parts) this.dirty.add(part);
    this.ask();
  }

  ask() {
    if (this.request) return;
    this.request = requestAnimationFrame(() => {
      this.request = 0;
      this.run();
    });
  }

  /** Paints at once what would wait for the next frame. */
  now() {
    if (!this.request) return;
    cancelAnimationFrame(this.request);
    this.request = 0;
    this.run();
  }

  /** What is to be painted now. */
  take() {
    const { dirty } = this;
    this.dirty = new Set();
    this.moving &&= performance.now() - this.changedAt < SETTLED;
    return dirty;
  }

  /** A setting has changed; the same one again, at once, is a slider that moves. @param {string[]} names */
  slide(names) {
    const now = performance.now();
    const changed = names.join();
    this.moving = changed === this.changed && now - this.changedAt < SETTLED;
    this.changed = changed;
    this.changedAt = this.touched = now;
  }

  touch() {
    this.touched = performance.now();
  }

  /** A new run is here, and more may follow, as while a text is typed. */
  arrive() {
    this.touched = Math.max(this.touched, performance.now() - AT_WORK);
  }

  /** How many ms of this frame may go into what is not in view; 0 where the hand goes first, as with `heavy` work. */
  budget(heavy) {
    const idle = performance.now() - this.touched;
    if (heavy && idle < 120) return 0;
    return idle > 300 ? IDLE_BUDGET : idle >= AT_WORK ? FRAME_BUDGET : DRAG_BUDGET;
  }

  /**
   * Paints what waits: all of it, or the first part while something moves.
   *
   * @param {Record<string, () => void>} painters
   * @param {boolean} inTurn
   */
  paintLater(painters, inTurn) {
    for (const part of [...this.later]) {
      if (part === "cells" && this.moving) continue; // all their detail only when it stands still
      this.later.delete(part);
      painters[part]();
      if (inTurn) break;
    }
    if (this.moving && !this.later.size) this.later.add("cells");
    if (this.later.size) this.ask();
  }

  /** Whether anything is still to be painted. */
  waiting() {
    return this.dirty.size > 0 || this.later.size > 0;
  }

  stop() {
    cancelAnimationFrame(this.request);
  }
}
