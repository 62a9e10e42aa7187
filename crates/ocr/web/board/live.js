// The figures as they come: server-sent events, back by itself after a lost connection. Called by board.js.

const silence_max_ms = 8_000;
const backoff_first_ms = 1_000;
const backoff_max_ms = 15_000;

/** Calls `onStatus(figures)` for each event and `onConnection(alive)` when that changes. */
export function listen(path, onStatus, onConnection) {
  let source, watch, failures = 0;

  function lost() {
    clearTimeout(watch);
    source.close();
    onConnection(false);
    const wait_ms = Math.min(backoff_max_ms, backoff_first_ms * 2 ** failures++);
    setTimeout(open, wait_ms * (0.5 + Math.random() / 2));
  }

  // A connection can die without a word (a sleeping laptop, a lost Wi-Fi): silence counts as lost.
  function alive() {
    clearTimeout(watch);
    watch = setTimeout(lost, silence_max_ms);
  }

  function open() {
    source = new EventSource(path);
    alive();
    source.onmessage = (event) => {
      alive();
      failures = 0;
      onConnection(true);
      onStatus(JSON.parse(event.data));
    };
    // Ours, not the browser's own reconnecting: that gives up for good after a 503.
    source.onerror = lost;
  }

  open();
}
