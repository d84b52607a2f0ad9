// What the page says: news politely, problems at once, questions in a dialog.

import { isOver } from "./client.js";
import { at, foreign } from "./dom.js";

/** News, for everybody's eyes and for screen readers when they have time. */
export function say(text) {
  at("said").replaceChildren(foreign(text));
}

/** A problem, or none any more. */
export function complain(error) {
  at("problem").replaceChildren(...(error ? [foreign(sentence(error))] : []));
  if (error) at("problem").scrollIntoView({ block: "nearest" });
}

const sentence = (error) => error.sentence?.() ?? `The page failed: ${error.message}.`;

/**
 * Asks for a reason, then acts. Resolves to true once done, to false if cancelled. The focus goes into the dialog and,
 * when it closes, back to where it was.
 */
export function askReason({ title, about, confirm, act }) {
  const [dialog, form, reason, wrong] = ["dialog", "dialog-form", "reason", "reason-wrong"].map(at);
  at("dialog-title").replaceChildren(...title);
  at("dialog-about").replaceChildren(...about);
  at("dialog-confirm").replaceChildren(...confirm);
  reason.value = "";
  mark(null);
  const listening = new AbortController();
  const { signal } = listening;
  let done = false;
  let busy = false;

  function mark(text) {
    wrong.textContent = text ?? "";
    if (text) reason.setAttribute("aria-invalid", "true");
    else reason.removeAttribute("aria-invalid");
  }

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    if (!reason.value.trim()) {
      mark("Give a reason: it is written to the audit log.");
      return reason.focus();
    }
    mark(null);
    busy = true;
    at("dialog-confirm").setAttribute("aria-disabled", "true");
    try {
      await act(reason.value.trim());
      done = true;
      dialog.close();
    } catch (error) {
      if (!isOver(error)) wrong.replaceChildren(foreign(sentence(error)));
    } finally {
      busy = false;
      at("dialog-confirm").removeAttribute("aria-disabled");
    }
  }

  return new Promise((resolve) => {
    form.addEventListener("submit", submit, { signal });
    at("dialog-cancel").addEventListener("click", () => dialog.close(), { signal });
    dialog.addEventListener("close", () => {
      listening.abort();
      reason.value = "";
      resolve(done);
    }, { signal });
    dialog.showModal();
    reason.focus();
  });
}
