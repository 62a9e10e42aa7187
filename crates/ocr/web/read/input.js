// Keys and swipes, turned into what the reader means. Called by read.js.

const swipe_px = 72;
const flick_px_per_ms = 0.6;
const flick_px = 30;

const keys = {
  ArrowRight: "right", ArrowLeft: "wrong", ArrowUp: "unreadable", ArrowDown: "not_one_word",
  Enter: "right", Backspace: "undo", z: "undo", Z: "undo", "+": "zoom", "=": "zoom",
};

/** Calls `act(action)` for each key that means one while `listening()` is true. */
export function listenToKeys(listening, act) {
  document.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    if (!action || event.repeat || event.altKey || event.metaKey || !listening()) return;
    if (event.ctrlKey && action !== "undo") return;
    // Enter on a focused button presses that button; arrows in a list choose from it.
    if (event.target.closest("select, input, textarea, dialog, summary")) return;
    if (event.key === "Enter" && event.target.closest("button, a")) return;
    event.preventDefault();
    act(action);
  });
}

function meaning(dx, dy) {
  if (Math.abs(dx) >= Math.abs(dy)) return dx > 0 ? "right" : "wrong";
  return dy < 0 ? "unreadable" : null;
}

/**
 * Follows a finger on the stage. `card()` is the element that moves, or null when nothing may be swiped;
 * `pull(action | null)` says what letting go would mean; `act(action)` is the answer.
 */
export function listenToSwipes(stage, { card, pull, act }) {
  let start = null;

  function settle(element) {
    if (element) element.style.transform = "";
    pull(null);
    start = null;
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" || !event.isPrimary || !card()) return;
    start = { x: event.clientX, y: event.clientY, at: event.timeStamp, id: event.pointerId, element: card() };
  });

  stage.addEventListener("pointermove", (event) => {
    if (event.pointerId !== start?.id) return;
    const dx = event.clientX - start.x;
    const dy = event.clientY - start.y;
    const action = meaning(dx, dy);
    if (Math.hypot(dx, dy) < 8) return;
    start.moved = true;
    if (!stage.hasPointerCapture(event.pointerId)) stage.setPointerCapture(event.pointerId);
    const along = action === "unreadable" ? `0, ${dy}px` : `${action ? dx : 0}px, 0`;
    start.element.style.transform = `translate(${along})`;
    pull(action && Math.hypot(dx, dy) > swipe_px ? action : null);
  });

  stage.addEventListener("pointerup", (event) => {
    if (event.pointerId !== start?.id) return;
    const { element, moved, at } = start;
    const dx = event.clientX - start.x;
    const dy = event.clientY - start.y;
    const far = Math.max(Math.abs(dx), Math.abs(dy));
    const fast = far / Math.max(1, event.timeStamp - at) > flick_px_per_ms;
    const action = meaning(dx, dy);
    settle(action === "wrong" ? element : null);
    if (moved && action && (far > swipe_px || (fast && far > flick_px))) act(action);
    else element.style.transform = "";
  });

  // A second finger pinches: the browser zooms, nothing is answered.
  stage.addEventListener("pointercancel", () => start && settle(start.element));
  addEventListener("pointerdown", (event) => {
    if (start && !event.isPrimary) settle(start.element);
  });
}
