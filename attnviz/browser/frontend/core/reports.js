/* reports.js: what a hand does goes to the page at once, then at most every so many ms, and always the last of it. The
   page sends back the number of the last report that it has seen, so that an answer to an earlier one is known to be
   late. */

export class Reports {
  /**
   * @param {(number: number) => void} send Reports what there is now, under this number.
   * @param {number} pause ms between two reports of one movement.
   * @param {number} number Of the last report that the page has seen.
   */
  constructor(send, pause, number) {
    this.send = send;
    this.pause = pause;
    this.number = number;
    this.timer = 0;
    this.waiting = false;
  }

  now() {
    if (this.timer) {
      this.waiting = true;
      return;
    }
    this.waiting = false;
    this.number += 1;
    this.send(this.number);
    this.timer = setTimeout(() => {
      this.timer = 0;
      if (this.waiting) this.now();
    }, this.pause);
  }

  /**
   * Takes the number that came with the page's data; whether these answer the last report. What waited when the element
   * left the page is reported now that it is back: else the last of a movement would be lost.
   * @param {number} number
   */
  answered(number) {
    const last = number >= this.number && !this.waiting;
    this.number = Math.max(this.number, number);
    if (this.waiting && !this.timer) this.now();
    return last;
  }

  /** Ends the pause under way: an element that comes back to the page reports its next movement at once. */
  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
  }
}
