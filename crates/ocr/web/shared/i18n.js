// Texts in the reader's language, numbers in the reader's format. Called by every page.
//
// locales/<language>.json is flat: key → text, or key → {"one": …, "other": …} where the text depends on a count.
// A new language is a new file there and its code in `languages`.

const languages = ["en", "es"];
const fallback = "en";
const rightToLeft = ["ar", "fa", "he", "ur"];

/** The page's language: `?lang=`, else the first of the browser's that there is a file for. */
export const language = choose();

const regional = navigator.languages?.find((tag) => primary(tag) === language) ?? language;
const plural = new Intl.PluralRules(language);
const formats = new Map();
let texts = {};

function primary(tag) {
  return tag.toLowerCase().split("-")[0];
}

function choose() {
  const asked = new URLSearchParams(location.search).get("lang");
  const wanted = [asked, ...(navigator.languages ?? [navigator.language])].filter(Boolean).map(primary);
  return wanted.find((tag) => languages.includes(tag)) ?? fallback;
}

/** Loads the texts and fills in the page; resolves before the first text is asked for. */
export async function loadTexts() {
  const response = await fetch(new URL(`../locales/${language}.json`, import.meta.url));
  if (!response.ok) throw new Error(`locale ${language}: ${response.status}`);
  texts = await response.json();
  document.documentElement.lang = language;
  document.documentElement.dir = rightToLeft.includes(language) ? "rtl" : "ltr";
  fill(document);
}

/** The text of a key with its {names} filled in; `count` chooses the plural form. */
export function text(key, values = {}) {
  let found = texts[key];
  if (found === undefined) return key;
  if (typeof found === "object") found = found[plural.select(values.count)] ?? found.other;
  return found.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : value ?? whole;
  });
}

/** The text of a key that may be missing: what came from the server is then shown as it came. */
export function textOr(key, otherwise) {
  return texts[key] === undefined ? otherwise : text(key);
}

/** Fills every element below `root` that names its text in `data-text` or its label in `data-label`. */
export function fill(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]")) {
    const label = text(element.dataset.label);
    element.setAttribute("aria-label", label);
    if (element.tagName === "BUTTON") element.title = label;
  }
}

function format(options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(regional, options));
  return formats.get(key);
}

/** 1234.5 → "1 234,5" or "1,234.5". */
export function number(value, digits = 0) {
  return format({ maximumFractionDigits: digits }).format(value);
}

/** 0.914 → "91,4 %". */
export function percent(share, digits = 1) {
  return format({ style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share);
}

/** 0.914 → "91,4", for the first of two figures that share one percent sign. */
export function hundredths(share, digits = 1) {
  return format({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(share * 100);
}
