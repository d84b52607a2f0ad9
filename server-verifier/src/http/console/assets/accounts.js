// Locked accounts, one account in full, and what an operator does about them.

import * as service from "./client.js";
import { at, button, duration, facts, foreign, make, moment, money, table } from "./dom.js";
import { askReason, complain, say } from "./talk.js";

const CAUSES = {
  "wrong-in-a-row": "Wrong passwords in a row",
  "wrong-in-window": "Wrong passwords within the window",
  moved: "Moved to another shard",
};
const LOCKED = ["Account", "Holder", "Cause", "Since (UTC)", "Wrong in a row", "Wrong in the window", "Actions"];

/** What the table shows, to tell when it changes. */
let shown = null;
/** The accounts in it. */
let known = null;

/** The table of locked accounts, longest locked first. Touched only when something has changed. */
export function showLocked(accounts, desk) {
  const text = JSON.stringify([accounts, desk.client, desk.role]);
  if (text === shown && at("locked").hasChildNodes()) return;
  announce(accounts, at("locked").hasChildNodes());
  shown = text;
  at("locked-count").textContent = accounts.length === 0 ? "None." : `${accounts.length}${accounts.length === 1000 ? " or more" : ""}, longest locked first.`;
  const focused = document.activeElement?.closest("#locked") && document.activeElement.id;
  const rows = accounts.map((account) => lockedRow(account, desk));
  at("locked").replaceChildren(table("Locked accounts", LOCKED, rows));
  if (focused) (at(focused) ?? at("locked-title")).focus();
}

/** Says which accounts were locked since the last look. */
function announce(accounts, before) {
  const numbers = new Set(accounts.map((account) => account.number));
  const fresh = before ? [...numbers].filter((number) => !known?.has(number)) : [];
  known = numbers;
  if (fresh.length > 3) say(`${fresh.length} more accounts are locked.`);
  else if (fresh.length) say(`Locked now: ${fresh.join(", ")}.`);
}

function lockedRow(account, desk) {
  const { number, lock } = account;
  const open = button("Show", () => show(number, desk), { id: `show-${number}`, "aria-label": `Show ${number}` });
  return [
    make("span", { class: "number" }, number),
    foreign(account.holder),
    CAUSES[lock.cause] ?? lock.cause,
    moment(lock.since),
    lock.wrong_in_a_row,
    lock.wrong_in_window,
    make("div", { class: "row" }, open, ...(desk.may.unlock ? [unlockButton(account, desk, "row")] : [])),
  ];
}

async function show(number, desk) {
  complain(null);
  try {
    await desk.find(number);
    at("account-name").focus();
  } catch (error) {
    if (!service.isOver(error)) complain(error);
  }
}

function unlockButton(account, desk, where) {
  const { number } = account;
  return button("Unlock", () => unlock(account, desk), { id: `unlock-${where}-${number}`, "aria-label": `Unlock ${number}` });
}

async function unlock(account, desk) {
  const { number, holder } = account;
  complain(null);
  const done = await askReason({
    title: [`Unlock account ${number}?`],
    about: ["The holder is ", foreign(holder), ". What the cards signed before stays void; new transactions can be tried."],
    confirm: [`Unlock ${number}`],
    act: (reason) => service.unlock(number, reason),
  });
  if (done) await after(`Account ${number} is unlocked; your reason is in the audit log.`, number, desk);
}

async function block(card, account, desk) {
  complain(null);
  const done = await askReason({
    title: [`Block card ${card} for good?`],
    about: [`It belongs to account ${account.number} of `, foreign(account.holder), ". A blocked card can be replaced, not unblocked."],
    confirm: [`Block card ${card}`],
    act: (reason) => service.blockCard(card, reason),
  });
  if (done) await after(`Card ${card} is blocked; your reason is in the audit log.`, account.number, desk);
}

/** Shows what is now, and says what was done. */
async function after(news, number, desk) {
  try {
    await desk.find(number);
    showLocked((await service.lockedAccounts()).items, desk);
    at("account-name").focus();
    say(news);
  } catch (error) {
    if (!service.isOver(error)) complain(error);
  }
}

/** One account: its state, its cards, the last entries of its chain, newest first. */
export function showAccount(account, entries, desk) {
  const { number, holder, lock } = account;
  const amount = (minor) => money(minor, account.exponent, account.currency);
  const state = lock.locked ? make("span", { class: "bad" }, "Locked") : account.open ? "Open" : "Closed";
  const since = lock.locked
    ? [["Locked since", span(moment(lock.since), ` (${duration(Math.max(0, Date.now() - Date.parse(lock.since)))})`)], ["Cause", CAUSES[lock.cause] ?? lock.cause]]
    : [];
  at("account").replaceChildren(
    make("h3", { id: "account-name", tabindex: "-1" }, `${number}, `, foreign(holder)),
    facts([
      ["State", state],
      ...since,
      ["Kind", account.kind],
      ["Balance", amount(account.balance)],
      ["Held", amount(account.held)],
      ["Wrong passwords in a row", lock.wrong_in_a_row],
      ["Wrong passwords in the window", lock.wrong_in_window],
    ]),
    ...(lock.locked && desk.may.unlock ? [unlockButton(account, desk, "account")] : []),
    cards(account, desk),
    log(entries.toReversed()),
  );
}

const span = (...children) => make("span", {}, ...children);

function cards(account, desk) {
  if (account.cards.length === 0) return make("p", {}, "No cards.");
  const columns = ["Card", "State", "Suite", "Signing key", ...(desk.may.block ? ["Actions"] : [])];
  const act = ({ card, state }) => {
    if (!desk.may.block) return [];
    if (state === "blocked") return ["None"];
    return [button("Block", () => block(card, account, desk), { id: `block-${card}`, "aria-label": `Block card ${card}` })];
  };
  const rows = account.cards.map((card) => [card.card, card.state, foreign(card.suite), card.signing_key, ...act(card)]);
  return table("Cards", columns, rows);
}

function log(entries) {
  if (entries.length === 0) return make("p", {}, "No entries in the audit log.");
  const rows = entries.map(({ sequence, at: when, event, account, ...fields }) => [sequence, moment(when), foreign(event), details(fields)]);
  return table("Last entries of its audit chain, newest first", ["Entry", "When (UTC)", "Event", "Details"], rows);
}

/** What an entry says besides; what lies in one another is written flat. */
function details(fields) {
  const flat = (value, name) =>
    value === null || value === undefined ? []
      : typeof value === "object" ? Object.entries(value).flatMap(([inner, each]) => flat(each, name ? `${name}.${inner}` : inner))
        : [[foreign(name), foreign(value)]];
  return facts(flat(fields, ""), { class: "fields" });
}
