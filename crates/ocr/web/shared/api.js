// The server's API as functions. Every failure is an ApiError that says whether waiting can help.

const SECRET = "crowdread.secret";
const timeout_ms = 15_000;
let secretInMemory = null;
let joining = null;

/** A request that did not succeed. `status` is 0 where no answer came at all. */
export class ApiError extends Error {
  constructor(status, detail, retry_after_ms = 0) {
    super(detail);
    this.status = status;
    this.retry_after_ms = retry_after_ms;
  }

  /** Whether the same request may succeed later. */
  get temporary() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(timeout_ms), ...options });
  } catch (error) {
    throw new ApiError(0, error.message);
  }
  if (!response.ok) {
    // RFC 9457 problem details; a proxy in between may answer with anything.
    const problem = await response.json().catch(() => ({}));
    const retry_after_ms = 1000 * (Number(response.headers.get("retry-after")) || 0);
    throw new ApiError(response.status, problem.detail ?? problem.title ?? response.statusText, retry_after_ms);
  }
  try {
    return await response.json();
  } catch (error) {
    throw new ApiError(0, error.message);
  }
}

function keptSecret() {
  try {
    return localStorage.getItem(SECRET) ?? secretInMemory;
  } catch {
    return secretInMemory; // storage switched off
  }
}

function keepSecret(secret) {
  secretInMemory = secret;
  try {
    if (secret === null) localStorage.removeItem(SECRET);
    else localStorage.setItem(SECRET, secret);
  } catch {
    // It lasts as long as the page.
  }
}

/** This browser's secret; the first call of a new browser asks the server for one. */
export async function secret() {
  const kept = keptSecret();
  if (kept) return kept;
  joining ??= request("/v1/workers", { method: "POST" })
    .then((worker) => (keepSecret(worker.secret), worker.secret))
    .finally(() => (joining = null));
  return joining;
}

/** A request in the worker's name. A secret that the server no longer knows is replaced once. */
async function asWorker(path, options = {}) {
  for (let attempt = 0; ; attempt++) {
    const used = await secret();
    try {
      return await request(path, { ...options, headers: { ...options.headers, authorization: `Bearer ${used}` } });
    } catch (error) {
      if (error.status !== 401 || attempt > 0) throw error;
      if (keptSecret() === used) keepSecret(null);
    }
  }
}

/** The collections that can be read. */
export async function collections() {
  return (await request("/v1/collections")).collections;
}

/** Up to `n` words for this reader, each with its lease, and how far the collection is. */
export function tasks(collection, n) {
  return asWorker(`/v1/tasks?${new URLSearchParams({ collection, n })}`);
}

/** Sends answers; resolves with an outcome for each. `last` lets the request outlive the page. */
export function sendAnswers(answers, last = false) {
  return asWorker("/v1/records/answers", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(answers),
    keepalive: last,
  });
}

/** The figures of a collection, as the board shows them. */
export function status(collection) {
  return request(`${collectionPath(collection)}/status`);
}

/** The words of a page with their places and states. */
export function pageMap(collection, page) {
  return request(`${collectionPath(collection)}/pages/${encodeURIComponent(page)}/map`);
}

/** Where the figures come in as server-sent events. */
export function livePath(collection) {
  return `${collectionPath(collection)}/live`;
}

function collectionPath(collection) {
  return `/v1/collections/${encodeURIComponent(collection)}`;
}
