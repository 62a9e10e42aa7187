// The pages filling up word by word: one page at a time, each word's place coloured by its verdict. Called by board.js.

import { pageMap } from "../shared/api.js";
import { text } from "../shared/i18n.js";
import { svg } from "./band.js";

const page_ms = 9_000;
const refresh_ms = 3_000;
const states = ["open", "right", "wrong", "doubt", "unreadable", "not_one_word"];

/** A pattern of stripes, as wide as a thick stroke of print. */
function stripes(id, angle, light, dark) {
  return svg("pattern", { id, width: 18, height: 18, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${angle})` },
    svg("rect", { width: 18, height: 18, fill: light }),
    svg("rect", { width: 6, height: 18, fill: dark }));
}

/** Cycles through the pages of a collection. */
export class PageMap {
  #collection;
  #pages = [];
  #index = 0;
  #shown = null;
  #rects = [];
  #since = 0;

  constructor(collection) {
    this.#collection = collection;
    setInterval(() => this.#tick(), refresh_ms);
  }

  /** The pages with their counts, as the status has them. */
  show(pages) {
    const first = this.#pages.length === 0;
    this.#pages = pages;
    if (first && pages.length) this.#tick();
    else this.#caption();
  }

  #page() {
    return this.#pages[this.#index % this.#pages.length];
  }

  async #tick() {
    if (!this.#pages.length || document.hidden) return;
    const now = performance.now();
    if (this.#shown && now - this.#since >= page_ms) this.#index = (this.#index + 1) % this.#pages.length;
    const page = this.#page();
    try {
      const map = await pageMap(this.#collection, page.id);
      if (this.#shown !== page.id) this.#since = now;
      this.#draw(page, map);
      this.#caption();
    } catch (error) {
      console.warn(`page map ${page.id}:`, error.message);
    }
  }

  #caption() {
    const page = this.#page();
    if (!page) return;
    document.querySelector("#page_title").textContent = page.title;
    const count = { decided: page.words_decided, words: page.words, title: page.title };
    document.querySelector("#decided").textContent = text("board_decided", count);
    document.querySelector("#map svg")?.setAttribute("aria-label", text("board_map", count));
  }

  #draw(page, { width, height, words }) {
    const known = (word) => (states.includes(word.state) ? word.state : "open");
    if (this.#shown === page.id && this.#rects.length === words.length) {
      words.forEach((word, index) => this.#rects[index].setAttribute("class", known(word)));
      return;
    }
    this.#shown = page.id;
    this.#rects = words.map((word) => svg("rect",
      { class: known(word), x: word.x, y: word.y, width: word.width, height: word.height, rx: 5 }));
    // The margins of the sheet say nothing: show what is printed.
    const left = Math.min(width, ...words.map((word) => word.x));
    const top = Math.min(height, ...words.map((word) => word.y));
    const right = Math.max(left + 1, ...words.map((word) => word.x + word.width));
    const bottom = Math.max(top + 1, ...words.map((word) => word.y + word.height));
    document.querySelector("#map").replaceChildren(svg("svg",
      { viewBox: `${left} ${top} ${right - left} ${bottom - top}`, role: "img" },
      svg("defs", {}, stripes("wrong", 45, "#ff8f78", "#8c3d2e"), stripes("doubt", 0, "#e8c15a", "#6e5a22")),
      ...this.#rects));
  }
}
