// The newest corrected words with their pictures; the hardest ones until there are enough. Called by board.js.

import { percent, text } from "../shared/i18n.js";

const places = 3;
const turn_ms = 5_000;

function element(name, className, content, language) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  if (language) made.lang = language;
  return made;
}

function item(word, corrected) {
  const made = element("li");
  const picture = element("img");
  picture.src = word.crop.url;
  picture.width = word.crop.width;
  picture.height = word.crop.height;
  picture.alt = text("word_picture");
  const words = element("div");
  if (corrected) words.append(element("s", "word", word.text), element("b", "word", word.corrected));
  else words.append(element("b", "word asked", word.text), element("small", "", text("board_right_share", { share: percent(word.right, 0) })));
  words.append(element("small", "", text("board_reader_count", { count: word.answers })));
  made.append(picture, words);
  return made;
}

/** Shows three words at a time and turns through the rest. */
export class Ticker {
  #list = document.querySelector("#words");
  #title = document.querySelector("#ticker_title");
  #words = [];
  #corrected = true;
  #first = 0;
  #shown = new Map();

  constructor() {
    setInterval(() => {
      if (this.#words.length <= places || document.hidden) return;
      this.#first = (this.#first + places) % this.#words.length;
      this.#draw();
    }, turn_ms);
  }

  /** Both lists as the status has them, newest and hardest first. */
  show(corrected, hardest) {
    this.#corrected = corrected.length > 0;
    const words = this.#corrected ? corrected : hardest;
    if (words[0]?.task_id !== this.#words[0]?.task_id) this.#first = 0; // news come at once
    this.#words = words;
    if (this.#first >= words.length) this.#first = 0;
    this.#draw();
  }

  #draw() {
    this.#title.textContent = text(this.#corrected ? "board_corrected" : "board_hardest");
    const count = Math.min(places, this.#words.length);
    const visible = Array.from({ length: count }, (_, at) => this.#words[(this.#first + at) % this.#words.length]);
    const key = (word) => `${word.task_id} ${word.corrected} ${word.answers}`;
    const next = new Map(visible.map((word) => [key(word), this.#shown.get(key(word)) ?? this.#arrive(word)]));
    if (this.#list.childElementCount && [...next.keys()].join() === [...this.#shown.keys()].join() && count) return;
    this.#shown = next;
    this.#list.replaceChildren(...(count ? next.values() : [element("li", "nothing", text("board_no_words"))]));
  }

  #arrive(word) {
    const made = item(word, this.#corrected);
    made.classList.add("new");
    made.addEventListener("animationend", () => made.classList.remove("new"), { once: true });
    return made;
  }
}
