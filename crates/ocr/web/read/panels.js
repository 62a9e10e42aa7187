// What lies round the card: the counter, notices, and the three dialogs. Called by read.js.

import { number, text } from "../shared/i18n.js";

const SEEN_STEPS = "crowdread.steps";

export const $ = (selector) => document.querySelector(selector);

/** Fills an element with a text in which one number is set in bold. */
function counted(element, key, count) {
  const [before, after] = text(key, { count }).split(number(count));
  const bold = document.createElement("b");
  bold.textContent = number(count);
  element.replaceChildren(before, bold, after ?? "");
}

/** Shows the outbox as it is: *saved* counts only what the server has stored. */
export function showCounts({ stored, waiting, rejected }) {
  counted($("#stored"), "stored", stored);
  $("#waiting").hidden = waiting === 0;
  counted($("#waiting"), "waiting", waiting);
  $("#rejected").hidden = rejected === 0;
  $("#rejected").textContent = text("rejected", { count: rejected });
  $("#kept").disabled = rejected === 0;
}

/** How far the collection is. */
export function showProgress(words_decided, words) {
  const bar = $("#progress");
  bar.firstElementChild.style.width = `${words ? (100 * words_decided) / words : 0}%`;
  bar.setAttribute("aria-valuemax", words);
  bar.setAttribute("aria-valuenow", words_decided);
  const label = text("progress", { decided: words_decided, words });
  bar.setAttribute("aria-label", label);
  bar.title = label;
}

/** What keeps answers from being saved and what to do, or nothing. */
export function showNotice({ waiting, durable, problem }) {
  let message = "";
  if (problem && waiting > 0) {
    message = text(problem.status === 429 || problem.status === 503 ? "server_busy" : "server_away", { count: waiting });
  } else if (!durable) {
    message = text("not_durable");
  }
  const notice = $("#notice");
  if (notice.textContent !== message) notice.textContent = message;
  notice.hidden = message === "";
}

/** A message in place of the card; `button` is `[text, action]` or null. */
export function showMessage(title, more, button) {
  const message = $("#message");
  message.querySelector("h1").textContent = title;
  message.querySelector("p").textContent = more;
  const element = message.querySelector("button");
  element.hidden = !button;
  if (button) [element.textContent, element.onclick] = button;
  message.hidden = false;
}

/** The three steps: by themselves on the first visit, later when asked for. */
export function offerSteps() {
  const dialog = $("#steps");
  $("#help").addEventListener("click", () => dialog.showModal());
  let seen = false;
  try {
    seen = localStorage.getItem(SEEN_STEPS) !== null;
    dialog.addEventListener("close", () => localStorage.setItem(SEEN_STEPS, "1"));
  } catch {
    // Without storage they come at each visit.
  }
  if (!seen) dialog.showModal();
}

/** The word's picture as large as the screen allows, to be moved about. */
export function showLarge(card) {
  const dialog = $("#large");
  const image = card.crop.cloneNode();
  const { width, height } = card.task.crop;
  const room = Math.min(innerWidth - 68, 1040);
  const scale = Math.min(Math.max(room / width, (2.2 * card.crop.height) / height), (innerHeight * 0.55) / height);
  image.width = Math.round(width * scale);
  image.height = Math.round(height * scale);
  dialog.querySelector(".pan").replaceChildren(image);
  $("#large_said").textContent = card.task.text;
  $("#large_said").lang = card.task.language ?? "";
  dialog.showModal();
}

/** The answers that the server refused, each with its reason. */
export async function showSetAside(outbox) {
  const rejected = await outbox.rejected();
  $("#set_aside_title").textContent = text("rejected", { count: rejected.length });
  $("#set_aside_how").textContent = text("rejected_how");
  $("#set_aside ul").replaceChildren(...rejected.map(({ label, text: typed, rejection }) => {
    const item = document.createElement("li");
    item.textContent = `${typed ?? text(label)}: ${rejection.message ?? rejection.tag}`;
    return item;
  }));
  $("#discard").onclick = async () => {
    await outbox.discardRejected();
    $("#set_aside").close();
  };
  $("#set_aside").showModal();
}

/** A quiet list of collections where there are several. */
export function offerCollections(collections, chosen) {
  const select = $("#collections");
  select.hidden = collections.length < 2;
  select.replaceChildren(...collections.map(({ name, title }) => new Option(title || name, name, false, name === chosen)));
  select.onchange = () => {
    const address = new URL(location.href);
    address.searchParams.set("collection", select.value);
    location.assign(address);
  };
}
