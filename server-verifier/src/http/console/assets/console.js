// The operator's console: who is signed in, what is watched, and what is done about it.

import * as service from "./client.js";
import { showAccount, showLocked } from "./accounts.js";
import { BooksView } from "./books.js";
import { at, foreign } from "./dom.js";
import { showOutbox } from "./outbox.js";
import { RateView } from "./rate.js";
import { complain, say } from "./talk.js";

/** Between two looks at the service, in milliseconds. */
const PERIOD = 2000;
/** What each role may do besides reading. */
const MAY = { operator: { unlock: true, block: true, outbox: true }, auditor: {}, admin: {} };

/** Who is signed in, while somebody is. */
let desk = null;

async function signIn(token) {
  complain(null);
  say("Signing in …");
  try {
    const signal = service.begin(token);
    const { client, role } = await service.whoAmI();
    if (!(role in MAY)) {
      throw new service.Problem({ title: `The role ${role} has no console`, detail: "sign in as operator, auditor or admin" });
    }
    desk = { client, role, may: MAY[role], signal, find };
    open();
  } catch (error) {
    // Whoever signs in meanwhile ends this attempt.
    if (service.isOver(error)) return;
    service.end();
    say("");
    throw error;
  }
}

function open() {
  at("who").replaceChildren("Signed in: ", foreign(desk.client), `, ${desk.role}`);
  arrange(true);
  document.title = "OneTap verifier console";
  say(`Signed in as ${desk.client}, ${desk.role}.`);
  at("locked-title").focus();
  watch(desk, new RateView(), new BooksView(desk));
}

/** Forgets the token and everything that it let us see. */
function signOut(why = "Signed out.") {
  service.end();
  desk = null;
  if (at("dialog").open) at("dialog").close();
  for (const id of ["who", "locked", "account", "books", "outbox", "rate"]) at(id).replaceChildren();
  for (const id of ["locked-count", "outbox-count"]) at(id).textContent = "Not known yet.";
  at("number").value = "";
  at("reason").value = "";
  arrange(false);
  document.title = "Sign in – OneTap verifier console";
  complain(null);
  say(why);
  at("token").focus();
}

function arrange(signedIn) {
  for (const id of ["work", "sections", "who", "sign-out"]) at(id).hidden = !signedIn;
  at("sign-in").hidden = signedIn;
}

/** Looks again and again, until signed out. */
async function watch({ signal, may }, rate, books) {
  const looks = [
    async () => showLocked((await service.lockedAccounts()).items, desk),
    async () => books.show(await service.books()),
    async () => showOutbox(await service.outbox(), desk),
    async () => rate.show(await service.statistics()),
  ];
  while (!signal.aborted) {
    let wait = PERIOD;
    if (!document.hidden) {
      const done = await Promise.allSettled(looks.map((look) => look()));
      const failed = done.find((each) => each.status === "rejected")?.reason;
      if (signal.aborted) return;
      stale(failed);
      if (failed?.status === 401) return signOut(`Signed out: ${failed.sentence()}`);
      wait = Math.max(PERIOD, 1000 * (failed?.wait ?? 0));
    }
    await new Promise((wake) => setTimeout(wake, wait));
  }
}

/** Says that what is shown may be old; said once, however long it lasts. */
function stale(failed) {
  const text = failed ? `What is shown may be old. ${failed.sentence?.() ?? failed}` : "";
  at("stale").hidden = !failed;
  if (at("stale").textContent !== text) at("stale").textContent = text;
}

/** Shows one account. */
async function find(number) {
  const [account, entries] = await Promise.all([service.account(number), service.lastEntries(number)]);
  showAccount(account, entries.items, desk);
  return account;
}

/** Runs what a form or button starts; what goes wrong is said. */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    if (!service.isOver(error)) complain(error);
  }
}

at("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = at("token").value.trim();
  at("token").value = "";
  attempt(() => signIn(token)).then(() => desk ?? at("token").focus());
});

at("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = at("number").value.replace(/\s/g, "").toUpperCase();
  complain(null);
  attempt(async () => {
    if (!number) throw new service.Problem({ title: "No account number", detail: "type one, then press Show" });
    await find(number);
    at("account-name").focus();
  });
});

at("sign-out").addEventListener("click", () => signOut());
// A page that the browser keeps for its Back button would keep the token too.
addEventListener("pagehide", () => desk && signOut());
// A client certificate may be enough; if it is not, somebody types a token.
signIn("").catch((error) => {
  if (!service.isOver(error) && error.status !== 401) complain(error);
});
