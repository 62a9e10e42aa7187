// The interval as a band over the number of answers. Called by board.js.

import { hundredths, percent, text } from "../shared/i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const pad = { top: 14, right: 96, bottom: 40, left: 4 };
// The first answers say nothing yet: what they span would flatten the rest.
const settled_after = 0.06;
const half_min = 0.02;
const half_max = 0.3;

/** An SVG element with attributes. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The shares that the chart spans: round about the last estimate, wide enough for the settled history. */
function span(history) {
  const last = history.at(-1);
  const settled = history.filter((point) => point.answers >= last.answers * settled_after);
  const half = Math.max(...settled.flatMap((point) => [last.estimate - point.low, point.high - last.estimate]));
  const kept = 1.1 * Math.min(half_max, Math.max(half_min, half));
  return { low: Math.max(0, last.estimate - kept), high: Math.min(1, last.estimate + kept) };
}

/** Round shares between two, three to six of them. */
function ticks({ low, high }) {
  const step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((size) => (high - low) / size <= 5) ?? 0.25;
  const found = [];
  for (let share = Math.ceil(low / step) * step; share <= high + 1e-9; share += step) found.push(share);
  return { shares: found, digits: step < 0.01 ? 1 : 0 };
}

/** Draws the history (`{answers, estimate, low, high}`, oldest first) into an element. */
export function drawBand(element, history) {
  const { clientWidth: width, clientHeight: height } = element;
  if (history.length < 2 || width < 50 || height < 50) return element.replaceChildren();
  const last = history.at(-1);
  const shown = span(history);
  const right = width - pad.right;
  const bottom = height - pad.bottom;
  const x = (answers) => pad.left + ((right - pad.left) * answers) / Math.max(1, last.answers);
  const y = (share) => {
    const inside = Math.min(shown.high, Math.max(shown.low, share));
    return pad.top + ((bottom - pad.top) * (shown.high - inside)) / (shown.high - shown.low);
  };
  const points = (line, key) => line.map((point) => `${x(point.answers).toFixed(1)},${y(point[key]).toFixed(1)}`);

  const { shares, digits } = ticks(shown);
  const grid = shares.flatMap((share) => [
    svg("line", { class: "grid", x1: pad.left, x2: right, y1: y(share), y2: y(share) }),
    svg("text", { x: right + 12, y: y(share) + 6 }, percent(share, digits)),
  ]);
  const band = [...points(history, "high"), ...points([...history].reverse(), "low")].join(" ");
  element.replaceChildren(svg("svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": text("board_chart", { low: hundredths(last.low), high: percent(last.high) }) },
    ...grid,
    svg("polygon", { class: "between", points: band }),
    svg("polyline", { class: "middle", points: points(history, "estimate").join(" ") }),
    svg("circle", { class: "now", cx: x(last.answers), cy: y(last.estimate), r: 8 }),
    svg("text", { x: pad.left, y: height - 8 }, "0"),
    svg("text", { x: right, y: height - 8, "text-anchor": "end" }, text("board_answers", { count: last.answers })),
  ));
}
