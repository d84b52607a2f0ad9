// The card's face: shows the display, sends keys, lists what the reader sees.

import { get, listen, picture, post } from "/client.js";

const find = (id) => document.getElementById(id);
const MOST_LOGGED = 200;
const RETRY_MS = [250, 5000];
const SHORTCUTS = {
  ArrowLeft: "previous", PageUp: "previous", ArrowRight: "next", PageDown: "next",
  Enter: "confirm", Escape: "cancel", Backspace: "clear", Delete: "clear",
};

const tell = (text) => { find("notice").textContent = text; };

// Keys and the field.

async function act(work) {
  try {
    await work();
    tell("");
  } catch (error) {
    tell(error.message);
  }
}

const press = (key) => act(() => post("/v1/keys", { keys: [key] }));

const switchField = () =>
  act(() => post("/v1/field", { on: find("field").getAttribute("aria-checked") !== "true" }));

function shortcut(event) {
  if (!find("shortcuts").checked || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  // What is typed belongs to the field that it is typed into, Enter to what has the focus.
  if (event.target.closest("input:not([type=checkbox], [type=radio]), select, textarea")) return;
  if (event.key === "Enter" && event.target.closest("button, a, summary, input")) return;
  const key = face && (/^[0-9]$/.test(event.key) ? event.key : SHORTCUTS[event.key]);
  if (key) {
    event.preventDefault();
    press(key);
  } else if (event.key.toLowerCase() === "f") {
    switchField();
  }
}

// The display.

/** What a screen reader says: labels end with a colon, the lines of one text are one text. */
function spoken(screen) {
  if (screen.blank) return "The display is off.";
  const said = screen.lines.reduce((text, line) => {
    if (line.startsWith("▸ ")) return `${text}${text ? ". " : ""}${line.slice(2)}: `;
    return text + line;
  }, "");
  return `${said}. Page ${screen.page} of ${screen.pages}.`;
}

let shown = null;

async function showScreen(screen, image) {
  const before = shown;
  shown = URL.createObjectURL(image);
  find("display").src = shown;
  // What is said is on the screen; a picture that another one has overtaken is not waited for.
  await find("display").decode().catch(() => {});
  if (before) URL.revokeObjectURL(before);
  // Only what is new is said.
  const text = spoken(screen);
  if (find("screen").textContent !== text) find("screen").textContent = text;
}

// Whether the card has a display and keys.
let face = true;

function showCard(card) {
  face = card.face;
  for (const part of document.querySelectorAll("[data-face]")) part.hidden = !face;
  find("state").textContent = [card.state, card.in_field && "in the field"].filter(Boolean).join(", ");
  find("field").setAttribute("aria-checked", String(card.field_on));
}

// One look at a time; what changes meanwhile is looked at once more.
let looking = false;
let changed = false;

async function look() {
  changed = true;
  if (looking) return;
  looking = true;
  try {
    while (changed) {
      changed = false;
      showCard(await get("/v1/card"));
      if (face) await showScreen(...await Promise.all([get("/v1/screen"), picture("/v1/screen.svg")]));
    }
  } catch (error) {
    tell(error.message);
  } finally {
    looking = false;
  }
}

// The log.

function logCommand(event) {
  const item = find("exchange").content.firstElementChild.cloneNode(true);
  item.querySelector(".command").textContent = event.text;
  item.querySelector(".command-bytes").textContent = event.apdu;
  find("log").append(item);
  find("nothing").hidden = true;
  while (find("log").children.length > MOST_LOGGED) find("log").firstElementChild.remove();
}

function logResponse(event) {
  const item = find("log").lastElementChild;
  if (!item) return;
  item.querySelector(".response").textContent = event.text;
  item.querySelector(".response-bytes").textContent = event.apdu;
}

function heard(event) {
  if (event.kind === "command") logCommand(event);
  if (event.kind === "response") logResponse(event);
  look();
}

/** Follows the card's events, through lost connections, until the token is refused. */
async function follow() {
  let last = 0;
  let wait = RETRY_MS[0];
  const opened = () => {
    if (wait > RETRY_MS[0]) tell("");
    wait = RETRY_MS[0];
    look();
  };
  for (;;) {
    try {
      await listen(last, opened, (event) => {
        last = event.seq ?? last;
        heard(event);
      });
    } catch (error) {
      tell(error.message);
      if (error.status === 401) return;
      wait = Math.min(wait * 2, RETRY_MS[1]);
    }
    await new Promise((done) => { setTimeout(done, wait); });
  }
}

find("keypad").addEventListener("click", (event) => {
  const key = event.target.closest("button")?.dataset.key;
  if (key) press(key);
});
find("field").addEventListener("click", switchField);
document.addEventListener("keydown", shortcut);
follow();
