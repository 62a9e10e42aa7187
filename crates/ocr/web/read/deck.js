// The next words, with their pictures already decoded. Called by read.js.

import { Card } from "./card.js";

const ask_for = 20;
const refill_below = 12;
const loads_at_once = 4;
const seen_max = 5_000;
const again_ms = 15_000;

/** Emits `ready` when a card came in and `change` when it is known that none comes now. */
export class Deck extends EventTarget {
  #cards = [];
  #seen = new Set();
  #order = 0;
  #fetch;
  #refilling = null;
  #timer = null;
  /** True when the server had nothing for this reader; false as soon as it has. */
  exhausted = false;
  /** The ApiError of the last refill, or null. */
  problem = null;

  /** `fetch(n)` resolves with tasks. Readings in `waiting` are answered already, only not sent. */
  constructor(fetch, waiting) {
    super();
    this.#fetch = fetch;
    this.#seen = new Set(waiting);
  }

  get size() {
    return this.#cards.length;
  }

  /** The next card, or undefined. */
  take() {
    const card = this.#cards.shift();
    // While the server is away the timer asks, not every tap.
    if (this.#cards.length < refill_below && !this.problem) this.refill();
    return card;
  }

  /** Puts a card in front: it comes next. */
  putBack(card) {
    this.#cards.unshift(card);
  }

  /** Asks for words; one request at a time. */
  refill() {
    clearTimeout(this.#timer);
    this.#refilling ??= this.#run().finally(() => {
      this.#refilling = null;
      // Words come back when other readers leave them, and the server may come back.
      if (this.#cards.length < refill_below && (this.exhausted || this.problem)) {
        this.#timer = setTimeout(() => this.refill(), this.problem ? again_ms / 3 : again_ms);
      }
    });
    return this.#refilling;
  }

  async #run() {
    try {
      const tasks = await this.#fetch(ask_for);
      const fresh = tasks.filter((task) => !this.#seen.has(task.reading_id));
      this.problem = null;
      this.exhausted = fresh.length === 0;
      if (this.#seen.size > seen_max) this.#seen = new Set([...this.#seen].slice(-seen_max / 2));
      await this.#load(fresh);
    } catch (error) {
      this.problem = error;
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Loads the first alone, so that it is there soon, then a few at a time; the server's order is kept. */
  async #load(tasks) {
    const left = tasks.map((task) => ({ task, order: this.#order++ }));
    const loadNext = async () => {
      const { task, order } = left.shift();
      try {
        const card = await Card.load(task);
        const later = this.#cards.findIndex((other) => other.order > order);
        this.#cards.splice(later < 0 ? this.#cards.length : later, 0, Object.assign(card, { order }));
        this.#seen.add(task.reading_id);
        this.dispatchEvent(new Event("ready"));
      } catch (error) {
        // Not marked as seen: it may be offered again, when its picture can be had.
        console.warn(`no picture for ${task.task_id}:`, error.message);
      }
    };
    const loader = async () => {
      while (left.length > 0) await loadNext();
    };
    if (left.length > 0) await loadNext();
    await Promise.all(Array.from({ length: loads_at_once }, loader));
  }
}
