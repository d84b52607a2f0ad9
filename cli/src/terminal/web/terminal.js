// The shop's terminal. What is shown follows from the state that the program tells; the page itself knows no payment.

import { Refused, get, listen, post, send } from "/client.js";

const PAUSE = 1000;
const GLANCE = 300;
const byId = (id) => document.getElementById(id);
const FIELDS = { amount: "amount", currency: "currency", payee_name: "payee-name", payee_account: "payee-account", reference: "reference", details: "details" };

/** Title, hint and the step that is marked, of each phase. */
const PHASES = {
  check: ["One moment", "The server is asked whether it is ready.", "tap"],
  tap: ["Tap the card", "Put the card on the reader.", "tap"],
  card: ["Hold the card still", "The card signs.", "tap"],
  removal: ["Take the card away", "Its display shows the payment once it has left the reader.", "removal"],
  holder: ["Type the password", "The holder reads the card’s display, confirms on its keys, and types what it shows.", "holder"],
  sending: ["One moment", "The server decides.", "sending"],
  ended: ["", "", "ended"],
};

const TITLES = {
  "executed": "Paid",
  "refused": "Not paid",
  "insufficient-funds": "Not paid",
  "limit-exceeded": "Not paid",
  "unknown": "Not known whether it was paid",
  "failed": "Not paid",
};

let state = { phase: "idle", seq: 0 };
let ends = 0;

/** Runs what a person asked for, and says why it was refused. */
async function attempt(place, work) {
  byId(place).textContent = "";
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    byId(place).textContent = error.message;
    return undefined;
  }
}

function lines(list, pairs) {
  list.replaceChildren(...pairs.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => {
    const [line, term, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    text.textContent = value;
    line.append(term, text);
    return line;
  }));
}

function paid(payment) {
  return [
    ["Amount", `${payment.amount} ${payment.currency}`],
    ["Payee", payment.payee_name],
    ["Account", payment.payee_account],
    ["Reference", payment.reference],
    ["Details", payment.details],
  ];
}

/** Shows a state. Whoever listens hears of each new phase; the focus goes where something is to be done. */
function show(next) {
  const changed = next.phase !== state.phase;
  state = next;
  ends = performance.now() + (next.left_ms ?? 0);
  const idle = next.phase === "idle";
  byId("enter").hidden = !idle;
  byId("payment").hidden = idle;
  if (changed) byId("password").value = "";
  if (changed) refresh();
  if (idle) return;
  stopCamera();
  const { end } = next;
  const [title, hint, step] = PHASES[next.phase];
  byId("payment").dataset.result = end?.result ?? "";
  byId("step").textContent = end ? TITLES[end.result] ?? end.result : title;
  byId("hint").textContent = end ? end.what : hint;
  byId("notice").textContent = next.notice ?? end?.advice ?? "";
  lines(byId("paid"), paid(next.payment));
  for (const item of byId("steps").children) {
    item.toggleAttribute("aria-current", item.dataset.step === step);
    if (item.dataset.step === step) item.setAttribute("aria-current", "step");
  }
  byId("typing").hidden = next.phase !== "holder";
  byId("cancel").hidden = Boolean(end);
  byId("next").hidden = !end;
  showReceipt(end?.receipt);
  count();
  if (changed) {
    byId("said").textContent = `${byId("step").textContent}. ${byId("hint").textContent}`;
    byId(next.phase === "holder" ? "password" : "step").focus();
  }
}

function showReceipt(receipt) {
  byId("receipt").hidden = byId("print").hidden = !receipt;
  if (!receipt) return;
  lines(byId("receipt-lines"), [
    ["Paid", `${state.payment.amount} ${receipt.currency}`],
    ["To", receipt.payee_name],
    ["Account", receipt.payee],
    ["Reference", receipt.reference],
    ["At", receipt.executed_at],
    ["Transaction", receipt.transaction],
    ["Terminal", byId("terminal").textContent],
    ["Accepted for", receipt.accepted_for],
  ]);
}

function count() {
  const left = Math.max(0, Math.round((ends - performance.now()) / 1000));
  const shown = state.left_ms !== undefined && state.phase !== "ended";
  byId("left").textContent = shown ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left` : "";
}

/** What a source gave goes into the form, for the shop to look at. */
function fill(found) {
  byId("open").hidden = !found?.open;
  if (found?.draft) {
    for (const [name, id] of Object.entries(FIELDS)) byId(id).value = found.draft[name] ?? "";
    byId("said").textContent = `Taken over: ${found.draft.amount} ${found.draft.currency} to ${found.draft.payee_name}`;
    byId("order").querySelector("[type=submit]").focus();
  }
  if (found?.open) ask(found.open);
}

/** A code that leaves something to the payer. */
function ask(open) {
  byId("open").dataset.code = open.code;
  byId("open-title").textContent = `${open.payee_name} leaves it to the payer, in ${open.currency}`;
  byId("open-amount-label").hidden = open.amount !== undefined;
  byId("open-tip-label").hidden = !open.tip;
  byId(open.amount === undefined ? "open-amount" : "open-tip").focus();
}

function octets(bytes, query = "") {
  return send(`/v1/code${query}`, "application/octet-stream", bytes);
}

let camera = null;

async function startCamera() {
  const video = byId("camera");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).catch(() => null);
  if (!stream) {
    byId("enter-notice").textContent = "The camera cannot be used: allow it for this page, or choose a picture.";
    return;
  }
  camera = stream;
  video.srcObject = stream;
  video.hidden = false;
  byId("scan").setAttribute("aria-pressed", "true");
  await video.play();
  while (camera === stream && !await frame(video)) await new Promise((go) => setTimeout(go, GLANCE));
}

function stopCamera() {
  camera?.getTracks().forEach((track) => track.stop());
  camera = null;
  byId("camera").hidden = true;
  byId("camera").srcObject = null;
  byId("scan").setAttribute("aria-pressed", "false");
}

/** Sends one frame to be decoded; whether the camera has done its work. */
async function frame(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const picture = await new Promise((made) => canvas.toBlob(made, "image/jpeg", 0.92));
  if (!picture) return false;
  try {
    const found = await send("/v1/picture", picture.type, picture);
    stopCamera();
    byId("enter-notice").textContent = "";
    fill(found);
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.code !== "no-code") byId("enter-notice").textContent = error.message;
    return false;
  }
}

/** What waits to be resolved. */
async function refresh() {
  const list = await get("/v1/unresolved").catch(() => []);
  byId("open-ends").hidden = list.length === 0 && byId("resolved").textContent === "";
  byId("unresolved").replaceChildren(...list.map((entry) => {
    const item = byId("unresolved-line").content.cloneNode(true);
    const what = entry.amount ? `${entry.amount} ${entry.currency} to ${entry.payee_name}, ${entry.begun}` : "a damaged entry";
    item.querySelector("span").textContent = `${what} (${entry.transaction})`;
    const button = item.querySelector("button");
    button.setAttribute("aria-label", `Resolve ${entry.transaction}`);
    button.addEventListener("click", () => resolve(entry, what, button));
    return item;
  }));
}

async function resolve(entry, what, button) {
  button.disabled = true;
  const found = await attempt("resolved", () => post(`/v1/unresolved/${entry.transaction}`, {}));
  if (found) {
    const words = { executed: "executed", cancelled: "cancelled, never to be executed" };
    byId("resolved").textContent = `${what}: ${words[found.result] ?? `not paid (${found.result})`}`;
  }
  await refresh();
}

function press(key) {
  const password = byId("password");
  password.value = key === "clear" ? "" : password.value + key;
}

async function type(event) {
  event.preventDefault();
  const password = byId("password").value;
  byId("password").value = "";
  await attempt("notice", () => post("/v1/password", { password }));
}

function order(event) {
  event.preventDefault();
  const typed = Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, byId(id).value.trim()]));
  return attempt("enter-notice", () => post("/v1/payment", typed));
}

async function next() {
  if (await attempt("notice", () => post("/v1/done", {}))) {
    byId("order").reset();
    byId("resolved").textContent = "";
  }
}

function fillOpen(event) {
  event.preventDefault();
  const said = new URLSearchParams();
  for (const name of ["amount", "tip"]) {
    const value = byId(`open-${name}`).value.trim();
    if (!byId(`open-${name}-label`).hidden && value) said.set(name, value);
  }
  if (![...said].length) said.set("tip", "0");
  const bytes = Uint8Array.from(byId("open").dataset.code.match(/../g), (pair) => parseInt(pair, 16));
  return attempt("enter-notice", async () => fill(await octets(bytes, `?${said}`)));
}

function submit(form, work) {
  byId(form).addEventListener("submit", (event) => {
    event.preventDefault();
    return attempt("enter-notice", async () => fill(await work()));
  });
}

byId("keypad").addEventListener("click", ({ target }) => target.dataset.key && press(target.dataset.key));
byId("typing").addEventListener("submit", type);
byId("order").addEventListener("submit", order);
byId("open").addEventListener("submit", fillOpen);
submit("paste", () => octets(new TextEncoder().encode(byId("code").value)));
submit("fetch", () => post("/v1/url", { url: byId("url").value.trim() }));
byId("picture").addEventListener("change", ({ target }) => {
  const [picture] = target.files;
  target.value = "";
  if (picture) attempt("enter-notice", async () => fill(await send("/v1/picture", picture.type, picture)));
});
byId("scan").addEventListener("click", () => (camera ? stopCamera() : startCamera()));
byId("cancel").addEventListener("click", () => attempt("notice", () => post("/v1/cancel", {})));
byId("next").addEventListener("click", next);
byId("print").addEventListener("click", () => window.print());
setInterval(count, 500);

async function run() {
  for (;;) {
    try {
      byId("terminal").textContent = (await get("/v1/terminal")).terminal;
      await listen(0, () => { byId("connection").textContent = ""; }, show);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      byId("connection").textContent = error.message;
    }
    await new Promise((go) => setTimeout(go, PAUSE));
  }
}

refresh();
run();
