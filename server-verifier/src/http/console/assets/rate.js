// How much is decided: the differences between two readings of the service's counters, as numbers and as a line.

import { at, duration, facts, make, table } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** Readings that the line shows. */
const SHOWN = 60;
const OUTCOMES = {
  executed: "Executed",
  refused: "Refused",
  "insufficient-funds": "Insufficient funds",
  "limit-exceeded": "Over a limit",
  malformed: "Not well formed",
  conflict: "Key used for another body",
  busy: "Store busy",
};

/** Shows readings of the counters, one after another. */
export class RateView {
  #before = null;
  #rates = [];
  #cells = new Map();
  #line = document.createElementNS(SVG, "polyline");

  constructor() {
    const cell = (name) => {
      const span = make("span", { class: "number", "data-value": name }, "–");
      this.#cells.set(name, span);
      return span;
    };
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", `0 0 ${SHOWN - 1} 100`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.#line);
    const rows = Object.entries(OUTCOMES).map(([name, label]) => [label, cell(`${name}/s`), cell(name)]);
    at("rate").replaceChildren(
      facts([
        ["Authorisations a second", cell("all/s")],
        ["Highest of those shown", cell("highest")],
      ]),
      svg,
      table("Outcomes", ["Outcome", "A second", "Since the start"], rows),
      facts([
        ["Rate limits hit", cell("rate_limited")],
        ["Unknown tokens", cell("wrong_credentials")],
        ["At the private key, or waiting", cell("private_key_queue")],
        ["This process runs for", cell("uptime")],
      ]),
    );
  }

  /** The next reading. */
  show(now) {
    // Another process, or the same one started again: its counters begin anew.
    const before = this.#before && this.#before.uptime_ms < now.uptime_ms ? this.#before : null;
    const seconds = before ? (now.uptime_ms - before.uptime_ms) / 1000 : 0;
    const since = (name) => Math.max(0, now.outcomes[name] - (before?.outcomes[name] ?? 0));
    let all = 0;
    for (const name of Object.keys(OUTCOMES)) {
      all += since(name);
      this.#put(name, now.outcomes[name]);
      this.#put(`${name}/s`, before ? (since(name) / seconds).toFixed(1) : "–");
    }
    for (const name of ["rate_limited", "wrong_credentials", "private_key_queue"]) this.#put(name, now[name]);
    this.#put("uptime", duration(now.uptime_ms));
    if (before) this.#plot(all / seconds);
    this.#before = now;
  }

  #plot(rate) {
    this.#rates = [...this.#rates, rate].slice(-SHOWN);
    const highest = Math.max(...this.#rates);
    const start = SHOWN - this.#rates.length;
    const point = (value, place) => `${start + place},${100 - (value / (highest || 1)) * 96}`;
    this.#line.setAttribute("points", this.#rates.map(point).join(" "));
    this.#put("all/s", rate.toFixed(1));
    this.#put("highest", highest.toFixed(1));
  }

  #put(name, value) {
    this.#cells.get(name).textContent = value;
  }
}
