// Where answers wait until the server has said *stored*: IndexedDB, or memory where the browser has none.
//
// Called by outbox.js alone. An answer leaves `answers` only in the transaction that counts it as stored or puts it
// into `rejected`, so neither a crash nor a second tab loses or counts it twice.

const DATABASE = "crowdread";
const VERSION = 1;
const STORED = "stored";

/** Opens the store. `durable` says whether what is put there survives the page. */
export async function openStore() {
  try {
    return new Durable(await open());
  } catch (error) {
    console.warn("answers are kept in memory only:", error);
    return new Memory();
  }
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("answers", { keyPath: "record_id" });
      request.result.createObjectStore("rejected", { keyPath: "record_id" });
      request.result.createObjectStore("counts");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("an older page holds the database"));
  });
}

function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

class Durable {
  durable = true;

  constructor(database) {
    this.database = database;
    // A later version of the page may change the layout; give way to it.
    database.onversionchange = () => database.close();
  }

  /** Runs `work` in one transaction; resolves when the browser has it on disk. */
  async write(stores, work) {
    const transaction = this.database.transaction(stores, "readwrite", { durability: "strict" });
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("aborted"));
    });
    // Both are awaited together: a transaction may abort while its work still waits for a request.
    await Promise.all([work(transaction), done]);
  }

  async put(answer) {
    await this.write(["answers"], async (transaction) => void transaction.objectStore("answers").put(answer));
  }

  /** The oldest waiting answers; the ids sort by time. */
  waiting(limit) {
    return result(this.database.transaction("answers").objectStore("answers").getAll(null, limit));
  }

  rejected() {
    return result(this.database.transaction("rejected").objectStore("rejected").getAll());
  }

  async counts() {
    const transaction = this.database.transaction(["answers", "rejected", "counts"]);
    const [waiting, rejected, stored] = await Promise.all([
      result(transaction.objectStore("answers").count()),
      result(transaction.objectStore("rejected").count()),
      result(transaction.objectStore("counts").get(STORED)),
    ]);
    return { waiting, rejected, stored: stored ?? 0 };
  }

  /** Takes out what the server has stored (ids) or rejected (`{record_id, tag, message}`). */
  async settle(stored, rejections) {
    await this.write(["answers", "rejected", "counts"], async (transaction) => {
      const answers = transaction.objectStore("answers");
      let counted = 0;
      for (const id of stored) {
        if ((await result(answers.count(id))) === 0) continue; // another tab was first
        answers.delete(id);
        counted += 1;
      }
      for (const { record_id, tag, message } of rejections) {
        const answer = await result(answers.get(record_id));
        if (!answer) continue;
        answers.delete(record_id);
        transaction.objectStore("rejected").put({ ...answer, rejection: { tag, message } });
      }
      const counts = transaction.objectStore("counts");
      counts.put(((await result(counts.get(STORED))) ?? 0) + counted, STORED);
    });
  }

  async discardRejected() {
    await this.write(["rejected"], async (transaction) => void transaction.objectStore("rejected").clear());
  }
}

/** The same without a database: private windows of some browsers, or a full disk. */
class Memory {
  durable = false;
  answers = new Map();
  refused = new Map();
  stored = 0;

  async put(answer) {
    this.answers.set(answer.record_id, answer);
  }

  async waiting(limit) {
    return [...this.answers.values()].slice(0, limit);
  }

  async rejected() {
    return [...this.refused.values()];
  }

  async counts() {
    return { waiting: this.answers.size, rejected: this.refused.size, stored: this.stored };
  }

  async settle(stored, rejections) {
    for (const id of stored) if (this.answers.delete(id)) this.stored += 1;
    for (const { record_id, tag, message } of rejections) {
      const answer = this.answers.get(record_id);
      if (this.answers.delete(record_id)) this.refused.set(record_id, { ...answer, rejection: { tag, message } });
    }
  }

  async discardRejected() {
    this.refused.clear();
  }
}

export { Memory };
