// The text box that a card becomes after *wrong*. Called by read.js.

import { text, textOr } from "../shared/i18n.js";

// Letters of old print that a phone's keyboard has not got, commonest first.
const letters = ["ſ", "a\u0364", "o\u0364", "u\u0364", "ꝛ", "æ", "œ", "—"];

/** The form moves into the card's sheet; `onSend(text)` gets what was typed. */
export class Correction {
  #form = document.querySelector("#correction");
  #input = document.querySelector("#typed");
  #problem = document.querySelector("#typed_problem");
  #card = null;

  constructor(onSend) {
    const row = document.querySelector("#letters");
    for (const letter of letters.filter(hasGlyph)) {
      const key = document.createElement("button");
      key.type = "button";
      key.textContent = letter;
      key.setAttribute("aria-label", text("insert_letter", { letter }));
      // The text box keeps the focus, or the phone would put its keyboard away.
      key.addEventListener("pointerdown", (event) => event.preventDefault());
      key.addEventListener("click", () => this.#insert(letter));
      row.append(key);
    }
    this.#input.addEventListener("input", () => (this.#problem.textContent = ""));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const typed = this.#input.value.trim().normalize("NFC");
      if (typed === "") return this.#say("typed_nothing");
      if (typed === this.#card.task.text.normalize("NFC")) return this.#say("typed_same");
      onSend(typed);
    });
  }

  /** How this collection wants words to be written, for those who ask. */
  showRules(rules) {
    const details = document.querySelector("#rules");
    details.hidden = rules.length === 0;
    details.querySelector("ul").replaceChildren(...rules.map(({ rule, says, example: [from, to] }) => {
      const item = document.createElement("li");
      item.textContent = textOr(`rule.${rule}`, says);
      if (showable(from, to)) {
        const pair = document.createElement("span");
        pair.className = "word";
        pair.textContent = `${from} = ${to}`;
        item.append(" ", pair);
      }
      return item;
    }));
  }

  /** Opens in a card, with the letter at `at` selected where the reader tapped one. */
  open(card, at = null) {
    this.#card = card;
    this.#problem.textContent = "";
    this.#input.lang = card.task.language ?? "";
    this.#input.value = card.previous?.text ?? card.task.text;
    this.#input.style.fontSize = `${Math.min(card.font_px, 40)}px`;
    card.sheet.append(this.#form);
    this.#form.hidden = false;
    this.#input.focus({ preventScroll: true });
    const end = this.#input.value.length;
    if (at === null) this.#input.setSelectionRange(end, end);
    else this.#input.setSelectionRange(at.start, at.end);
  }

  /** Leaves the card. */
  close() {
    this.#input.blur();
    this.#form.hidden = true;
    document.body.append(this.#form);
  }

  #say(key) {
    this.#problem.textContent = text(key);
    this.#input.focus();
  }

  #insert(letter) {
    const { selectionStart, selectionEnd } = this.#input;
    this.#input.setRangeText(letter, selectionStart, selectionEnd, "end");
    this.#input.focus();
    this.#problem.textContent = "";
  }
}

const ruler = document.createElement("canvas").getContext("2d");

/** Whether this device can draw a letter: if not, it takes the place of one that no font has. */
function hasGlyph(letter) {
  ruler.font = `100px ${getComputedStyle(document.documentElement).getPropertyValue("--serif")}`;
  const width = (shown) => ruler.measureText(shown).width;
  return width(letter) !== width(`${letter.slice(0, -1)}\u{10fffd}`);
}

/** Whether two texts look different, and no letter is one that only special fonts have. */
function showable(from, to) {
  return from.normalize() !== to.normalize() && !/\p{Co}/u.test(from + to) && [...new Intl.Segmenter().segment(from)].every(({ segment }) => hasGlyph(segment));
}

/** The letter (with its combining marks) under a point, as a range of the text, or null. */
export function letterAt(element, x, y) {
  const caret = document.caretPositionFromPoint?.(x, y) ?? document.caretRangeFromPoint?.(x, y);
  const node = caret?.offsetNode ?? caret?.startContainer;
  if (!node || !element.contains(node) || node.nodeType !== Node.TEXT_NODE) return null;
  // The caret falls between two letters: the one whose box holds the point was meant.
  const range = document.createRange();
  for (const { index, segment } of new Intl.Segmenter().segment(node.data)) {
    range.setStart(node, index);
    range.setEnd(node, index + segment.length);
    const box = range.getBoundingClientRect();
    if (x >= box.left && x <= box.right) return { start: index, end: index + segment.length };
  }
  return null;
}
