// Record ids and times made in the browser. Called where an answer is made.

let last_ms = 0;

/** A UUIDv7 (RFC 9562 §5.7) of this time. `crypto.randomUUID` is no help: it is v4, and absent on plain http. */
export function uuid7(unix_ms) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0, rest = unix_ms; i < 6; i++, rest = Math.floor(rest / 256)) bytes[5 - i] = rest % 256;
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Now, in milliseconds, and always later than the time before: the latest answer to a reading counts. */
export function nextInstant() {
  last_ms = Math.max(Date.now(), last_ms + 1);
  return last_ms;
}

/** RFC 3339 in UTC. */
export function rfc3339(unix_ms) {
  return new Date(unix_ms).toISOString();
}
