// What others were not told yet, and what an operator does about messages that nobody took.

import * as service from "./client.js";
import { at, button, foreign, make, moment, table } from "./dom.js";
import { askReason, complain, say } from "./talk.js";

const COLUMNS = ["Message", "Account", "Tells of", "Sent", "Failure", "Dead since (UTC)"];

/** What can be done to a dead letter. */
const ACTS = {
  requeue: {
    label: "Send again",
    title: (id) => `Send message ${id} again?`,
    about: "What it holds back is sent after it.",
    run: service.requeue,
    news: (id) => `Message ${id} is sent again; your reason is in the audit log.`,
  },
  discard: {
    label: "Discard",
    title: (id) => `Discard message ${id}?`,
    about: "Nobody will be told of it; what it holds back is sent.",
    run: service.discard,
    news: (id) => `Message ${id} is discarded; your reason is in the audit log.`,
  },
};

/** What is shown, to tell when it changes. */
let shown = null;
/** The dead letters in it. */
let known = null;

/** How much waits, and the dead letters, longest dead first. Touched only when something has changed. */
export function showOutbox(outbox, desk) {
  const text = JSON.stringify([outbox, desk.client, desk.role]);
  if (text === shown && at("outbox").hasChildNodes()) return;
  announce(outbox.items, at("outbox").hasChildNodes());
  shown = text;
  at("outbox-count").textContent = count(outbox);
  const focused = document.activeElement?.closest("#outbox") && document.activeElement.id;
  at("outbox").replaceChildren(letters(outbox.items, desk));
  if (focused) (at(focused) ?? at("outbox-title")).focus();
}

function count({ waiting, dead, items }) {
  if (waiting === 0) return "Nothing waits.";
  const part = dead > items.length ? `, of which the first ${items.length} are shown` : "";
  return `Messages that wait: ${waiting}; dead letters among them: ${dead}${part}.`;
}

/** Says which messages were given up since the last look. */
function announce(items, before) {
  const ids = new Set(items.map((item) => item.message));
  const fresh = before ? [...ids].filter((id) => !known?.has(id)) : [];
  known = ids;
  if (fresh.length > 3) say(`${fresh.length} more messages were not taken.`);
  else if (fresh.length) say(`Not taken: message ${fresh.join(", ")}.`);
}

function letters(items, desk) {
  if (items.length === 0) return make("p", { class: "hint" }, "No dead letters.");
  const columns = desk.may.outbox ? [...COLUMNS, "Actions"] : COLUMNS;
  return table("Dead letters", columns, items.map((item) => row(item, desk)));
}

function row({ message, account, topic, attempts, failure, dead_at: since }, desk) {
  const buttons = () => make("div", { class: "row" }, ...Object.keys(ACTS).map((name) => actButton(name, message, account, desk)));
  return [
    make("span", { class: "number" }, message),
    make("span", { class: "number" }, account),
    foreign(topic),
    `${attempts} times`,
    foreign(failure ?? ""),
    moment(since),
    ...(desk.may.outbox ? [buttons()] : []),
  ];
}

function actButton(name, message, account, desk) {
  const { label } = ACTS[name];
  const start = () => act(ACTS[name], message, account, desk);
  return button(label, start, { id: `${name}-${message}`, "aria-label": `${label}: ${message}` });
}

async function act({ label, title, about, run, news }, message, account, desk) {
  complain(null);
  const done = await askReason({
    title: [title(message)],
    about: [`It concerns account ${account}. ${about}`],
    confirm: [`${label}: ${message}`],
    act: (reason) => run(message, reason),
  });
  if (!done) return;
  try {
    showOutbox(await service.outbox(), desk);
    at("outbox-title").focus();
    say(news(message));
  } catch (error) {
    if (!service.isOver(error)) complain(error);
  }
}
