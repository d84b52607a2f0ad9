// Whether the books hold: the last verification, the last checkpoint, and a new verification.

import * as service from "./client.js";
import { at, duration, facts, foreign, make, moment } from "./dom.js";
import { complain, say } from "./talk.js";

/** The state of audit log and ledger. */
export class BooksView {
  #shown = null;
  #running = false;

  constructor({ signal }) {
    at("verify").addEventListener("click", () => this.#verify(), { signal });
    this.#busy(false);
  }

  /** What the service says of them now. */
  show(state) {
    this.#busy(this.#running || state.running_since !== null);
    const text = JSON.stringify(state);
    if (text === this.#shown && at("books").hasChildNodes()) return;
    this.#shown = text;
    const running = state.running_since ? [["A verification runs", since(state.running_since)]] : [];
    at("books").replaceChildren(facts([...lastVerification(state.last), ...running, ["Last checkpoint", checkpoint(state.checkpoint)]]));
  }

  async #verify() {
    if (this.#running || at("verify").getAttribute("aria-disabled") === "true") return;
    complain(null);
    this.#running = true;
    this.#busy(true);
    say("Verifying audit log and ledger …");
    try {
      const books = await service.verify();
      this.show(await service.books());
      say(books.audit && books.ledger ? "The books hold." : "The books do NOT hold: see Audit.");
    } catch (error) {
      if (service.isOver(error)) return;
      say("");
      complain(error);
    } finally {
      this.#running = false;
      this.#busy(false);
    }
  }

  #busy(busy) {
    at("verifying").hidden = !busy;
    // Not disabled: the focus would be lost.
    at("verify").setAttribute("aria-disabled", String(busy));
  }
}

const span = (...children) => make("span", {}, ...children);
const since = (text) => span("since ", moment(text));

function lastVerification(last) {
  if (!last) return [["Last verification", "None since this server was started"]];
  const verdict = last.audit && last.ledger
    ? make("span", { class: "good" }, "The books hold")
    : make("span", { class: "bad" }, "The books do NOT hold");
  const old = last.taken_over_at
    ? [["Taken over", span(`${last.taken_over} rows, as they stood `, moment(last.taken_over_at))]] : [];
  const place = last.finding ? [["Finding", foreign(last.finding)], ["Where", where(last)]] : [];
  return [
    ["Last verification", verdict],
    ...place,
    ...old,
    ["When", span(moment(last.at), `, took ${duration(last.took_ms)}, started by `, foreign(last.by))],
  ];
}

function where({ ledger, account, entry }) {
  const chain = account ? `account ${account}` : "the operator’s own chain";
  if (entry) return `${chain}, entry ${entry}`;
  return ledger ? chain : "ledger";
}

function checkpoint(last) {
  if (!last) return "None yet";
  return span(moment(last.at), `, ${last.chains} chains, root `, make("code", {}, last.root));
}
