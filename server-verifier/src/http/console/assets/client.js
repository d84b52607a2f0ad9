// The service's API. The token lives in this module's memory and nowhere else.

let token = null;
let session = new AbortController();

/** What the service refuses, or why it cannot be asked; says so in sentences. */
export class Problem extends Error {
  constructor({ status = 0, title, detail = "", request = "", wait = 0 }) {
    super(title);
    Object.assign(this, { status, title, detail, request, wait });
  }

  /** One sentence or a few. */
  sentence() {
    const detail = this.detail && ` ${this.detail[0].toUpperCase()}${this.detail.slice(1)}.`;
    return `${this.title}.${detail}${this.request && ` Request ${this.request}.`}`;
  }
}

/** True if the answer came too late: whoever asked has signed out. */
export const isOver = (error) => error?.name === "AbortError";

/** From now on this token is shown, and nothing that was under way before is heard of; none: the client certificate, if the browser has one. */
export function begin(shown) {
  if (shown && !/^[\x21-\x7e]+$/.test(shown)) {
    throw new Problem({ title: "This is no token", detail: "a token has no spaces and only ASCII characters" });
  }
  session.abort();
  session = new AbortController();
  token = shown || null;
  return session.signal;
}

/** Forgets the token, and whatever is under way. */
export function end() {
  token = null;
  session.abort();
}

/** Asks the service; gives the JSON that it answers. */
export async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const { signal } = session;
  let response;
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    response = await fetch(path, {
      method, headers, signal, body: text, cache: "no-store", credentials: "same-origin", redirect: "error",
    });
    if (response.ok) return await response.json();
  } catch (error) {
    if (isOver(error)) throw error;
    throw new Problem({ title: "The server does not answer", detail: "see whether it runs, then repeat" });
  }
  const problem = await response.json().catch(() => ({}));
  signal.throwIfAborted();
  throw new Problem({
    status: response.status,
    title: problem.title ?? `The server answers with status ${response.status}`,
    detail: problem.detail,
    request: response.headers.get("X-Request-Id") ?? "",
    wait: Number(response.headers.get("Retry-After") ?? 0),
  });
}

export const whoAmI = () => call("GET", "/v1/me");
export const lockedAccounts = () => call("GET", "/v1/accounts?locked=true&limit=1000");
export const account = (number) => call("GET", `/v1/accounts/${encodeURIComponent(number)}`);
export const unlock = (number, reason) => call("POST", `/v1/accounts/${encodeURIComponent(number)}/unlock`, { reason });
export const blockCard = (card, reason) => call("POST", `/v1/cards/${encodeURIComponent(card)}/block`, { reason });
export const lastEntries = (number) => call("GET", `/v1/audit?last=true&limit=20&account=${encodeURIComponent(number)}`);
export const books = () => call("GET", "/v1/audit/state");
export const verify = () => call("POST", "/v1/audit/verify");
export const outbox = () => call("GET", "/v1/outbox?dead=true&limit=100");
export const requeue = (message, reason) => call("POST", `/v1/outbox/${encodeURIComponent(message)}/requeue`, { reason });
export const discard = (message, reason) => call("POST", `/v1/outbox/${encodeURIComponent(message)}/discard`, { reason });
export const statistics = () => call("GET", "/v1/statistics");
