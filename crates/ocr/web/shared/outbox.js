// Answers on their way: kept first, sent in batches, taken out only when the server has said *stored*.
//
//   add → store → (2 s or 5 answers) → send → stored: out │ rejected: aside │ retry, no answer: wait and again

import { ApiError } from "./api.js";
import { Memory } from "./store.js";

const batch_max = 20;
const batch_last_max = 100; // of about 400 bytes; a request that outlives its page has at most 64 KiB
const batch_soon = 5;
const gather_ms = 2_000;
const backoff_first_ms = 1_000;
const backoff_max_ms = 30_000;

/** Emits `change` whenever what `state()` tells has changed. */
export class Outbox extends EventTarget {
  #store;
  #overflow = new Memory(); // what the store would not take, for example when the disk is full
  #send;
  #timer = null;
  #due_at = Infinity;
  #flushing = null;
  #failures = 0;
  #one_by_one = false;
  #problem = null;

  /** `send(answers, last)` is the API's `sendAnswers`. */
  constructor(store, send) {
    super();
    this.#store = store;
    this.#send = send;
    addEventListener("online", () => this.flush());
    document.addEventListener("visibilitychange", () => {
      // The page may never come back: send now, in a request that outlives it.
      if (document.visibilityState === "hidden") this.flush(true);
    });
  }

  /** Counts, whether answers outlive the page, and the ApiError that keeps them waiting, if any. */
  async state() {
    const [kept, over] = await Promise.all([this.#store.counts(), this.#overflow.counts()]);
    return {
      waiting: kept.waiting + over.waiting,
      rejected: kept.rejected + over.rejected,
      stored: kept.stored + over.stored,
      durable: this.#store.durable && over.waiting === 0,
      problem: this.#problem,
    };
  }

  /** Keeps an answer and sends it soon. */
  async add(answer) {
    try {
      await this.#store.put(answer);
    } catch (error) {
      console.warn("the browser did not keep an answer:", error);
      await this.#overflow.put(answer);
    }
    this.#changed();
    const { waiting } = await this.state();
    if (this.#failures === 0) this.#wakeIn(waiting >= batch_soon ? 0 : gather_ms);
    else this.#wakeIn(backoff_max_ms);
  }

  /** Readings whose answers still wait: the server may offer them again. */
  async waitingReadings() {
    const answers = [...(await this.#store.waiting()), ...(await this.#overflow.waiting())];
    return new Set(answers.map((answer) => answer.reading_id));
  }

  async rejected() {
    return [...(await this.#store.rejected()), ...(await this.#overflow.rejected())];
  }

  async discardRejected() {
    await Promise.all([this.#store.discardRejected(), this.#overflow.discardRejected()]);
    this.#changed();
  }

  /** Sends all that waits; resolves when nothing waits or the server cannot take it now. */
  flush(last = false) {
    this.#sleep();
    // The request under way may die with the page: what waits goes out once more, in one that does not. Twice counts once.
    if (last && this.#flushing) return this.#sendLast();
    this.#flushing ??= this.#run(last).finally(() => (this.#flushing = null));
    return this.#flushing;
  }

  async #sendLast() {
    const batch = await this.#store.waiting(batch_last_max);
    if (batch.length === 0) return;
    const retry_ms = await this.#deliver(this.#store, batch, true);
    this.#changed();
    if (retry_ms !== null) this.#wakeIn(retry_ms);
  }

  async #run(last) {
    for (;;) {
      const limit = this.#one_by_one ? 1 : last ? batch_last_max : batch_max;
      let source = this.#store;
      let batch = await source.waiting(limit);
      if (batch.length === 0) batch = await (source = this.#overflow).waiting(limit);
      if (batch.length === 0) {
        this.#one_by_one = false;
        return;
      }
      const retry_ms = await this.#deliver(source, batch, last);
      this.#changed();
      if (retry_ms !== null) {
        this.#wakeIn(retry_ms);
        return;
      }
    }
  }

  /** Sends one batch; returns when to try again, or null to go on at once. */
  async #deliver(source, batch, last) {
    try {
      const { stored, rejections, retry_after_ms } = sort(batch, await this.#send(batch, last));
      await source.settle(stored, rejections);
      this.#problem = null;
      if (stored.length + rejections.length === batch.length) {
        this.#failures = 0;
        return null;
      }
      return this.#backoff(retry_after_ms);
    } catch (error) {
      const known = error instanceof ApiError;
      if (known && !error.temporary && batch.length > 1) {
        this.#one_by_one = true; // one of them spoils the request: find out which
        return null;
      }
      if (known && !error.temporary && error.status !== 401) {
        await source.settle([], [{ record_id: batch[0].record_id, tag: String(error.status), message: error.message }]);
        return null;
      }
      this.#problem = known ? error : new ApiError(0, error.message);
      return this.#backoff(error.retry_after_ms ?? 0);
    }
  }

  #backoff(asked_ms) {
    const own_ms = Math.min(backoff_max_ms, backoff_first_ms * 2 ** this.#failures);
    this.#failures += 1;
    // Half of it is random, so that a room full of phones does not come back at once.
    return Math.max(asked_ms, own_ms * (0.5 + Math.random() / 2));
  }

  #wakeIn(delay_ms) {
    const due_at = performance.now() + delay_ms;
    if (due_at >= this.#due_at) return;
    this.#sleep();
    this.#due_at = due_at;
    this.#timer = setTimeout(() => this.flush(), delay_ms);
  }

  #sleep() {
    clearTimeout(this.#timer);
    this.#due_at = Infinity;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** The outcomes of a response by record. An index that no run covers stays waiting: absence never means success. */
function sort(batch, response) {
  const sorted = { stored: [], rejections: [], retry_after_ms: 0 };
  for (const run of response.outcomes ?? []) {
    if (run.outcome === "retry") sorted.retry_after_ms = Math.max(sorted.retry_after_ms, run.retry_after_ms ?? 0);
    if (!Number.isInteger(run.from) || !Number.isInteger(run.to)) continue;
    for (const { record_id } of batch.slice(run.from, run.to + 1)) {
      if (run.outcome === "stored") sorted.stored.push(record_id);
      if (run.outcome === "rejected") sorted.rejections.push({ record_id, tag: run.tag, message: run.message });
    }
  }
  return sorted;
}
