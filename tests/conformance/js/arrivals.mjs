import { within } from "./within.mjs";

/** What came and is to be taken in its order. */
export class Arrivals {
  waiting = [];
  #takers = [];

  push(what) {
    const taker = this.#takers.shift();
    if (taker) {
      taker(what);
    } else {
      this.waiting.push(what);
    }
  }

  /** What came next; `what` names it in the error if it does not come within that time. */
  async next(milliseconds, what) {
    if (this.waiting.length > 0) {
      return this.waiting.shift();
    }
    return within(milliseconds, what, new Promise((resolve) => this.#takers.push(resolve)));
  }
}
