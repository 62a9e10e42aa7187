// The board for the big screen: who reads, how fast, how sure. Figures come from the live events alone.

import * as api from "../shared/api.js";
import { hundredths, loadTexts, number, percent, text, textOr } from "../shared/i18n.js";
import { drawBand } from "./band.js";
import { listen } from "./live.js";
import { PageMap } from "./pagemap.js";
import { Ticker } from "./ticker.js";

const $ = (selector) => document.querySelector(selector);
const again_ms = 3_000;
let latest = null;

function showConnection(alive) {
  $("#connection").hidden = alive;
}

function showAccuracy({ accuracy, history }) {
  $("#estimate").classList.toggle("none", !accuracy);
  $("#estimate").textContent = accuracy ? percent(accuracy.estimate) : text("board_no_accuracy");
  $("#interval").textContent = accuracy
    ? text("board_interval", { low: hundredths(accuracy.low), high: percent(accuracy.high) })
    : "";
  // The evidence stands beside the figure: an interval that rests on the model says so.
  $("#evidence").textContent = accuracy
    ? `${text("board_level", { level: percent(accuracy.level, 0) })} · ${textOr(`evidence.${accuracy.evidence}`, accuracy.evidence)}`
    : "";
  // Only where it makes a difference that some words cannot be read.
  const [lowest, highest] = accuracy?.unreadable_bound ?? [0, 0];
  $("#bound").textContent = highest - lowest >= 0.0005
    ? text("board_unreadable", { low: hundredths(lowest), high: percent(highest) })
    : "";
  $("#evidence").title = accuracy?.assumptions?.join("\n") ?? "";
  drawBand($("#band"), history ?? []);
}

function show(status, map, ticker) {
  latest = status;
  document.title = `${status.title || status.collection} · ${text("board_title")}`;
  $("#title").textContent = `${text("board_title")}: ${status.title || status.collection}`;
  $("#readers").textContent = number(status.readers_now);
  $("#readers_label").textContent = text("board_readers", { count: status.readers_now });
  $("#per_second").textContent = number(status.answers_per_second, status.answers_per_second < 10 ? 1 : 0);
  $("#address").textContent = (status.join_url ?? "").replace(/^https?:\/\//, "").replace(/\/$/, "");
  showAccuracy(status);
  map.show(status.pages ?? []);
  ticker.show(status.corrected ?? [], status.hardest ?? []);
}

/** The collection of `?collection=`, else the first; waits until the server has one. */
async function chooseCollection() {
  for (;;) {
    try {
      const collections = await api.collections();
      const asked = new URLSearchParams(location.search).get("collection");
      const chosen = collections.find(({ name }) => name === asked) ?? collections[0];
      showConnection(true);
      if (chosen) return chosen.name;
      $("#estimate").classList.add("none");
      $("#estimate").textContent = text("no_collections");
    } catch {
      showConnection(false);
    }
    await new Promise((resolve) => setTimeout(resolve, again_ms));
  }
}

async function start() {
  await loadTexts();
  $("#qr").alt = text("board_qr");
  const name = await chooseCollection();
  const map = new PageMap(name);
  const ticker = new Ticker();
  new ResizeObserver(() => latest && drawBand($("#band"), latest.history ?? [])).observe($("#band"));
  api.status(name).then((status) => latest ?? show(status, map, ticker), () => {}); // the events bring it otherwise
  listen(api.livePath(name), (status) => show(status, map, ticker), showConnection);
}

start();
