// The next words, with their pictures already decoded. Called by read.js.
//
// A word that was offered is this reader's until it is answered: it is kept across a reload, because the server offers no
// word twice, and it comes back when its picture could not be had.

import { ApiError } from "../shared/api.js";
import { Card } from "./card.js";

const ask_for = 20;
const refill_below = 12;
const loads_at_once = 4;
const seen_max = 5_000;
const again_ms = 15_000;
const retry_first_ms = 1_000;
// After so many attempts other words are asked for too.
const attempts_patient = 4;
// A word whose lease ends sooner is not worth showing again.
const lease_left_min_ms = 60_000;

/** Emits `ready` when a card came in and `change` when it is known that none comes now. */
export class Deck extends EventTarget {
  #cards = [];
  #later = []; // { task, order, attempts }: their pictures could not be had yet
  #unanswered = new Map();
  #seen = new Set();
  #order = 0;
  #fetch;
  #place;
  #refilling = null;
  #timer = null;
  #failures = 0;
  /** True when the server had nothing for this reader; false as soon as it has. */
  exhausted = false;
  /** The ApiError of the last refill, or null. */
  problem = null;

  /**
   * `fetch(n)` resolves with tasks. Readings in `waiting` are answered already, only not sent. Words are kept under
   * `place`, a name that belongs to this reader and collection.
   */
  constructor(fetch, waiting, place) {
    super();
    this.#fetch = fetch;
    this.#seen = new Set(waiting);
    this.#place = `crowdread.words.${place}`;
  }

  get size() {
    return this.#cards.length;
  }

  /** Whether words are there and only their pictures are missing. */
  get blind() {
    return this.#cards.length === 0 && this.#later.length > 0;
  }

  /** Takes up the words that were there before the page was loaded anew, then asks for more. */
  start() {
    this.#later = this.#fresh(this.#kept()).map((task) => ({ task, order: this.#order++, attempts: 0 }));
    return this.refill();
  }

  /** The next card, or undefined. */
  take() {
    const card = this.#cards.shift();
    // While the server is away the timer asks, not every tap.
    if (this.#holding < refill_below && !this.problem) this.refill();
    return card;
  }

  /** Puts a card in front: it comes next. */
  putBack(card) {
    this.#cards.unshift(card);
  }

  /** The word is answered, and the answer is kept. */
  done(task) {
    if (this.#unanswered.delete(task.reading_id)) this.#keep();
  }

  /** Asks for words and for the pictures that are missing; one round at a time. */
  refill() {
    clearTimeout(this.#timer);
    this.#refilling ??= this.#run().finally(() => {
      this.#refilling = null;
      const wanting = this.#later.length > 0;
      if (!wanting && (this.#holding >= refill_below || !(this.exhausted || this.problem))) return;
      // Words come back when other readers leave them, and the server may come back.
      const wait_ms = wanting || this.problem ? Math.min(again_ms, retry_first_ms * 2 ** this.#failures++) : again_ms;
      this.#timer = setTimeout(() => this.refill(), wait_ms * (0.5 + Math.random() / 2));
    });
    return this.#refilling;
  }

  get #holding() {
    return this.#cards.length + this.#later.filter(({ attempts }) => attempts < attempts_patient).length;
  }

  async #run() {
    const missing = this.#later.splice(0);
    await Promise.all([this.#load(missing), this.#holding + missing.length < refill_below ? this.#more() : null]);
    if (!this.problem && this.#later.length === 0) this.#failures = 0;
    this.dispatchEvent(new Event("change"));
  }

  async #more() {
    try {
      const fresh = this.#fresh(await this.#fetch(ask_for));
      this.problem = null;
      this.exhausted = fresh.length === 0;
      if (this.#seen.size > seen_max) this.#seen = new Set([...this.#seen].slice(-seen_max / 2));
      this.#keep();
      await this.#load(fresh.map((task) => ({ task, order: this.#order++, attempts: 0 })));
    } catch (error) {
      this.problem = error instanceof ApiError ? error : new ApiError(0, error.message);
    }
  }

  /** Those of the tasks that were not here before, noted as being here. */
  #fresh(tasks) {
    const fresh = tasks.filter(({ reading_id }) => !this.#seen.has(reading_id));
    for (const task of fresh) {
      this.#seen.add(task.reading_id);
      this.#unanswered.set(task.reading_id, task);
    }
    return fresh;
  }

  /** Loads the first alone, so that it is there soon, then a few at a time; the server's order is kept. */
  async #load(words) {
    const left = [...words];
    const loadNext = async () => {
      const word = left.shift();
      try {
        const card = Object.assign(await Card.load(word.task), { order: word.order });
        const later = this.#cards.findIndex((other) => other.order > word.order);
        this.#cards.splice(later < 0 ? this.#cards.length : later, 0, card);
        this.dispatchEvent(new Event("ready"));
      } catch (error) {
        console.warn(`no picture for ${word.task.task_id}:`, error.message);
        this.#later.push({ ...word, attempts: word.attempts + 1 });
      }
    };
    const loader = async () => {
      while (left.length > 0) await loadNext();
    };
    if (left.length > 0) await loadNext();
    await Promise.all(Array.from({ length: loads_at_once }, loader));
  }

  // In the session's storage: it outlives a reload, and another tab does not show the same words.
  #keep() {
    try {
      sessionStorage.setItem(this.#place, JSON.stringify([...this.#unanswered.values()]));
    } catch {
      // Without storage a reload costs the words that were ahead.
    }
  }

  #kept() {
    try {
      const tasks = JSON.parse(sessionStorage.getItem(this.#place)) ?? [];
      return tasks.filter((task) => Date.parse(task.lease_expires_at) > Date.now() + lease_left_min_ms);
    } catch {
      return [];
    }
  }
}
