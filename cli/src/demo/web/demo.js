// The terminal and the server of the demonstration. The card is the panel's own business.

import { post } from "/client.js";

const find = (id) => document.getElementById(id);
const OUTCOMES = {
  executed: "Executed",
  refused: "Refused: nothing was booked",
  "insufficient-funds": "Refused: the balance is too small",
  "limit-exceeded": "Refused: over a limit",
};

async function act(action, body) {
  try {
    show(await post(`/stage/${action}`, body));
    find("terminal-notice").textContent = "";
    return true;
  } catch (error) {
    find("terminal-notice").textContent = error.message;
    return false;
  }
}

function show(world) {
  find("send").disabled = !world.waits;
  find("unlock").hidden = !world.locked;
  const outcome = world.outcome ? OUTCOMES[world.outcome] ?? world.outcome : "";
  find("outcome").textContent = world.locked ? `${outcome}. The account is locked` : outcome;
  find("accounts").replaceChildren(...world.accounts.map(({ holder, balance }) => {
    const row = document.createElement("div");
    row.append(cell("dt", holder), cell("dd", balance));
    return row;
  }));
}

function cell(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

find("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const price = find("price").value.trim().replace(",", ".");
  const cents = /^\d+(\.\d{1,2})?$/.test(price) ? Math.round(Number(price) * 100) : 0;
  const { tamper } = Object.fromEntries(new FormData(event.target));
  if (await act("tap", { cents, tamper })) {
    find("asks").textContent =
      `The terminal says: ${(cents / 100).toFixed(2)} EUR. Read the card’s own display, confirm with its keys, then type what it shows.`;
    find("password").value = "";
  }
});

find("payment").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await act("send", { password: find("password").value })) {
    find("asks").textContent = "";
    find("password").value = "";
  }
});

find("unlock").addEventListener("click", () => act("unlock", {}));
act("look", {});
