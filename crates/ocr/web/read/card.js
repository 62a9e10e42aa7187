// A word as the reader sees it: its line with the word framed, its picture, the engine's text. Called by deck.js.
//
// A card is built and its pictures are decoded before it is shown, so that showing it is one change of the page.

import { text } from "../shared/i18n.js";

const crop_height_max_px = 118;
const line_height_px = 54;
const font_min_px = 26;
const font_max_px = 56;
// The crop has a margin round the word; the text should be as wide as the word, not as the crop.
const word_share_of_crop = 0.9;

const ruler = document.createElement("canvas").getContext("2d");

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Loads a picture until it can be painted without delay; rejects when there is none. */
async function picture(source) {
  const image = new Image();
  image.draggable = false;
  image.src = source.url;
  await image.decode();
  return image;
}

/** One task with its element; `fit` lays it out for a width. */
export class Card {
  /** Loads the pictures and builds the element. Without a line the word still can be read. */
  static async load(task) {
    const crop = await picture(task.crop);
    const line = task.line ? await picture(task.line).catch(() => null) : null;
    return new Card(task, crop, line);
  }

  constructor(task, crop, line) {
    this.task = task;
    this.crop = crop;
    this.line = line;
    this.previous = null; // the answer that is being changed
    crop.alt = text("word_picture");
    this.said = element("span", "word");
    this.said.lang = task.language ?? "";
    this.said.textContent = task.text;
    this.before = element("small", "before");
    this.before.hidden = true;
    this.sheet = element("div", "sheet",
      element("div", "picture", crop),
      element("div", "said", element("small", "", text("machine_read")), this.said, this.before));
    this.element = element("article", "card");
    if (line) {
      line.alt = "";
      this.frame = element("i");
      this.context = element("div", "context", line, this.frame);
      this.context.setAttribute("aria-hidden", "true");
      this.element.append(this.context);
    }
    this.element.append(this.sheet);
  }

  /** Shows what was answered before, or nothing. */
  remember(answer) {
    this.previous = answer;
    this.before.hidden = !answer;
    if (answer) this.before.textContent = text("answered_before", { answer: answer.text ?? text(answer.label) });
  }

  /** Sizes the pictures and the text for a card of this width in CSS pixels. */
  fit(width) {
    const { task, crop } = this;
    const room = width - 34;
    const scale = Math.min(room / task.crop.width, crop_height_max_px / task.crop.height);
    const shown = task.crop.width * scale;
    crop.width = Math.round(shown);
    crop.height = Math.round(task.crop.height * scale);

    // Like size: as wide as the word in the picture, so that the eye compares letter by letter.
    const family = getComputedStyle(document.documentElement).getPropertyValue("--serif");
    ruler.font = `100px ${family}`;
    const width_at_100 = Math.max(1, ruler.measureText(task.text).width);
    const like = (100 * shown * word_share_of_crop) / width_at_100;
    const fits = (100 * room) / width_at_100;
    this.font_px = Math.min(Math.max(font_min_px, Math.min(like, font_max_px)), Math.max(20, fits));
    this.said.style.fontSize = `${this.font_px}px`;
    this.#fitLine(width);
  }

  #fitLine(width) {
    if (!this.line) return;
    const { line } = this.task;
    const scale = Math.min(line_height_px / line.height, (width - 24) / line.word.width);
    const shown = line.width * scale;
    const middle = (line.word.x + line.word.width / 2) * scale;
    const left = shown <= width ? (width - shown) / 2 : Math.min(0, Math.max(width - shown, width / 2 - middle));
    const top = (line_height_px - line.height * scale) / 2;
    Object.assign(this.line.style, {
      width: `${shown}px`, height: `${line.height * scale}px`, left: `${left}px`, top: `${top}px`,
    });
    // Three pixels of air, and never cut off by the edge of the strip.
    const x = Math.max(0, left + line.word.x * scale - 6);
    const right = Math.min(width, left + (line.word.x + line.word.width) * scale + 6);
    const y = Math.max(0, top + line.word.y * scale - 5);
    const bottom = Math.min(line_height_px, top + (line.word.y + line.word.height) * scale + 5);
    Object.assign(this.frame.style, { left: `${x}px`, top: `${y}px`, width: `${right - x}px`, height: `${bottom - y}px` });
  }
}
