// Elements made by hand. Whatever the service says goes in as text, never as markup.

/** Element with this id. */
export const at = (id) => document.getElementById(id);

/** A new element; children are elements, texts and numbers. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** A button that does something. */
export function button(label, act, attributes = {}) {
  const made = make("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", act);
  return made;
}

// Controls, format characters (bidirectional ones, zero-width ones), line and paragraph separators, lone surrogates.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const PARTS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu;

/** A text from outside: apart from its surroundings (bdi), characters that nobody would see by their number. */
export function foreign(text) {
  const parts = String(text).match(PARTS) ?? [];
  const spelled = (part) =>
    UNSEEN.test(part)
      ? make("span", { class: "code" }, `U+${part.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`)
      : part;
  return make("bdi", {}, ...parts.map(spelled));
}

/** Minor units as an amount: 123456, 2, EUR → 1234.56 EUR. */
export function money(minor, exponent, currency) {
  const digits = String(Math.abs(minor)).padStart(exponent + 1, "0");
  const [whole, part] = [digits.slice(0, digits.length - exponent), digits.slice(digits.length - exponent)];
  return `${minor < 0 ? "−" : ""}${whole}${exponent ? `.${part}` : ""} ${currency}`;
}

/** A moment (RFC 3339, UTC). */
export function moment(text) {
  return make("time", { datetime: text }, text.replace("T", " ").replace("Z", " UTC"));
}

/** Milliseconds in words. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
}

/** Names and values. */
export function facts(pairs, attributes = {}) {
  return make("dl", attributes, ...pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** A table; the first cell of each row names it. The roles stay when a narrow page stacks the cells. */
export function table(caption, columns, rows) {
  const head = make("tr", { role: "row" }, ...columns.map((name) => make("th", { scope: "col", role: "columnheader" }, name)));
  return make("table", { role: "table" },
    make("caption", {}, caption),
    make("thead", { role: "rowgroup" }, head),
    make("tbody", { role: "rowgroup" }, ...rows.map((cells) => row(columns, cells))));
}

function row(columns, [first, ...rest]) {
  const cell = (value, place) => make("td", { role: "cell", "data-label": columns[place + 1] }, ...[value].flat());
  return make("tr", { role: "row" }, make("th", { scope: "row", role: "rowheader" }, first), ...rest.map(cell));
}
