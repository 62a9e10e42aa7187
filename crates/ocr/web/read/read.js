// The reader's page: a card, an answer, the next card.
//
//   deck → card → answer → outbox ⇢ server        undo: the card comes back, its new answer is a new record

import * as api from "../shared/api.js";
import { loadTexts, text } from "../shared/i18n.js";
import { nextInstant, rfc3339, uuid7 } from "../shared/ids.js";
import { Outbox } from "../shared/outbox.js";
import { openStore } from "../shared/store.js";
import { Correction, letterAt } from "./correction.js";
import { Deck } from "./deck.js";
import { listenToKeys, listenToSwipes } from "./input.js";
import * as panels from "./panels.js";

const { $ } = panels;
const undo_max = 10;
// Nobody reads a word in less: it is the second half of a double tap.
const shown_min_ms = 80;
const slide_ms = 110;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const away_to = { right: "60%, 0", wrong: "-60%, 0", unreadable: "0, -60%", not_one_word: "0, 60%", undo: "-60%, 0" };

const stage = $("#stage");
const state = { collection: null, card: null, shown_at: 0, history: [] };
let outbox, deck, correction;

function setMode(mode) {
  if (document.body.dataset.mode !== mode) document.body.dataset.mode = mode;
}

const mode = () => document.body.dataset.mode;

/** Puts a card on the stage; the one before leaves in the direction of its answer. */
function show(card, action) {
  const leaving = state.card?.element;
  state.card = card;
  $("#message").hidden = true;
  card.fit(stage.clientWidth - 32);
  card.element.style.transform = "";
  if (leaving && leaving !== card.element) leave(leaving, action);
  stage.append(card.element);
  setMode("read");
  state.shown_at = nextInstant();
  $("#announcer").textContent = text("announce_word", { word: card.task.text });
}

function leave(element, action) {
  if (still.matches || !away_to[action]) {
    element.style.transform = "";
    return element.remove();
  }
  const top = element.offsetTop;
  element.classList.add("leaving");
  element.style.top = `${top}px`;
  const from = element.style.transform || "none";
  const slide = element.animate(
    [{ transform: from, opacity: 1 }, { transform: `translate(${away_to[action]})`, opacity: 0 }],
    { duration: slide_ms, easing: "ease-in" });
  slide.onfinish = slide.oncancel = () => {
    element.classList.remove("leaving");
    element.style.top = element.style.transform = "";
    // Undo may have brought it back meanwhile.
    if (element !== state.card?.element) element.remove();
  };
}

/** The next card, or why there is none. */
function advance(action) {
  const card = deck.take();
  if (card) return show(card, action);
  if (state.card) leave(state.card.element, action);
  state.card = null;
  showWhyEmpty();
}

async function showWhyEmpty() {
  const { waiting } = await outbox.state();
  if (state.card) return;
  const again = () => {
    outbox.flush();
    deck.refill();
  };
  if (deck.problem) {
    setMode("away");
    const told = deck.problem.temporary ? text("away_more", { count: waiting }) : deck.problem.message;
    panels.showMessage(text("away"), told, [text("try_now"), again]);
  } else if (deck.blind) {
    setMode("away");
    panels.showMessage(text("no_pictures"), text("no_pictures_more"), [text("try_now"), again]);
  } else if (deck.exhausted) {
    setMode("empty");
    panels.showMessage(text("all_done"), text("all_done_more"), [text("look_again"), again]);
  } else {
    setMode("loading");
    $("#message").hidden = true;
  }
}

/** Keeps the answer and goes on at once; storing and sending happen behind. */
function answer(label, typed) {
  const { card } = state;
  const answered_at = nextInstant();
  const { task } = card;
  const record = {
    record_id: uuid7(answered_at),
    collection: state.collection.name,
    task_id: task.task_id,
    reading_id: task.reading_id,
    lease_id: task.lease_id,
    label,
    ...(label === "wrong" && { text: typed }),
    shown_at: rfc3339(state.shown_at),
    answered_at: rfc3339(answered_at),
  };
  state.history.push({ card, record });
  if (state.history.length > undo_max) state.history.shift();
  $("#undo").disabled = false;
  advance(label);
  return outbox.add(record).then(() => deck.done(task));
}

function undo() {
  const last = state.history.pop();
  if (!last) return;
  $("#undo").disabled = state.history.length === 0;
  if (state.card) deck.putBack(state.card);
  last.card.remember(last.record);
  show(last.card, "undo");
}

function openCorrection(at) {
  setMode("type");
  correction.open(state.card, at);
}

function closeCorrection() {
  correction.close();
  setMode("read");
}

const actions = {
  right: () => answer("right"),
  wrong: () => openCorrection(null),
  unreadable: () => answer("unreadable"),
  not_one_word: () => answer("not_one_word"),
  undo,
  zoom: () => panels.showLarge(state.card),
};

function act(action) {
  if (action === "undo" && mode() !== "type") return undo();
  if (mode() !== "read" || Date.now() - state.shown_at < shown_min_ms) return;
  actions[action]();
}

function listen() {
  for (const action of Object.keys(actions)) $(`#${action}`).addEventListener("click", () => act(action));
  $("#cancel").addEventListener("click", closeCorrection);
  $("#kept").addEventListener("click", () => panels.showSetAside(outbox));
  listenToKeys(() => mode() !== "type" && !document.querySelector("dialog[open]"), act);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && mode() === "type") closeCorrection();
  });
  listenToSwipes(stage, {
    card: () => (mode() === "read" ? state.card?.element : null),
    pull: (action) => {
      if (action) stage.dataset.pull = text(action);
      else delete stage.dataset.pull;
    },
    act,
  });
  stage.addEventListener("click", (event) => {
    // A tap on a letter of the engine's text means: this one is wrong.
    if (mode() !== "read" || !state.card?.said.contains(event.target)) return;
    openCorrection(letterAt(state.card.said, event.clientX, event.clientY));
  });
  const relay = () => {
    state.card?.fit(stage.clientWidth - 32);
    document.body.classList.toggle("scrolls", document.documentElement.scrollHeight > innerHeight + 1);
  };
  addEventListener("resize", relay);
  new ResizeObserver(relay).observe(stage);
}

async function showOutbox() {
  const counts = await outbox.state();
  panels.showCounts(counts);
  panels.showNotice(counts);
}

/** Asks until the server answers: a page opened in a tunnel starts by itself afterwards. */
async function chooseCollection() {
  for (let wait_ms = 1_000; ; wait_ms = Math.min(2 * wait_ms, 15_000)) {
    let why = [text("no_collections"), text("no_collections_more")];
    try {
      const collections = await api.collections();
      const asked = new URLSearchParams(location.search).get("collection");
      const chosen = collections.find(({ name }) => name === asked) ?? collections[0];
      if (chosen) return { chosen, collections };
    } catch (error) {
      const { waiting } = await outbox.state();
      why = [text("away"), error.temporary ? text("away_more", { count: waiting }) : error.message];
    }
    setMode("away");
    await new Promise((resolve) => {
      panels.showMessage(...why, [text("try_now"), resolve]);
      setTimeout(resolve, wait_ms);
    });
  }
}

async function start() {
  const joined = api.secret().catch(() => null); // early, in parallel; asked for again where it is needed
  const [store] = await Promise.all([openStore(), loadTexts()]);
  outbox = new Outbox(store, api.sendAnswers);
  outbox.addEventListener("change", showOutbox);
  correction = new Correction(async (typed) => {
    closeCorrection();
    await answer("wrong", typed);
  });
  listen();
  showOutbox();
  panels.offerSteps();
  const { chosen, collections } = await chooseCollection();
  setMode("loading");
  $("#message").hidden = true;
  state.collection = chosen;
  document.title = `${chosen.title || chosen.name} · crowdread`;
  panels.offerCollections(collections, chosen.name);
  panels.showProgress(chosen.words_decided, chosen.words);
  correction.showRules(chosen.convention?.rules ?? []);

  // What waits goes out first, or the server would offer the same words again.
  await Promise.all([joined, outbox.flush()]);
  const ask = async (n) => {
    const { tasks, words, words_decided } = await api.tasks(chosen.name, n);
    panels.showProgress(words_decided, words);
    return tasks;
  };
  deck = new Deck(ask, await outbox.waitingReadings(), `${chosen.name}.${(await joined)?.slice(0, 8)}`);
  const look = () => {
    if (!state.card) advance(null);
  };
  deck.addEventListener("ready", look);
  deck.addEventListener("change", () => deck.size > 0 ? look() : state.card || showWhyEmpty());
  deck.start();
}

start();
