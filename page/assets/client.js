// The REST interface, as a page uses it. The token comes behind the # of the address, stays in this tab, and
// goes out in a header: there is no cookie that another site, or another port, could make use of.

const KEPT = "onetap-token";
const NO_TOKEN = "The token is missing or old: open the address that the program printed when it started.";
const NO_ANSWER = "The program does not answer; it is tried again. Is it still running?";

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(KEPT) ?? "";
}

const token = takeToken();

/** Why something was refused, in words for people, its HTTP status, 0 if there was no answer, and its code. */
export class Refused extends Error {
  constructor(text, status, code) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, ...options.headers };
  const response = await fetch(path, { ...options, headers }).catch(() => { throw new Refused(NO_ANSWER, 0); });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({ detail: NO_ANSWER }));
  throw new Refused(response.status === 401 ? NO_TOKEN : problem.detail, response.status, problem.code);
}

/** Reads JSON. */
export async function get(path) {
  return (await ask(path)).json();
}

/** Reads a picture. */
export async function picture(path) {
  return (await ask(path)).blob();
}

/** Sends JSON, reads JSON. */
export async function post(path, body) {
  return send(path, "application/json", JSON.stringify(body));
}

/** Sends a body of this media type, reads JSON. */
export async function send(path, type, body) {
  return (await ask(path, { method: "POST", headers: { "Content-Type": type }, body })).json();
}

/** Calls `heard` with each event after number `after`, until the stream ends. */
export async function listen(after, opened, heard) {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(after) };
  const { body } = await ask("/v1/events", { headers });
  opened();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => { throw new Refused(NO_ANSWER, 0); });
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    blocks.map(parse).filter((event) => event !== null).forEach(heard);
  }
}

/** One event of a stream; null for a sign of life. */
function parse(block) {
  const field = (name) => {
    const line = block.split("\n").find((text) => text.startsWith(`${name}:`));
    return line?.slice(name.length + 1).trim();
  };
  return field("data") ? { kind: field("event"), ...JSON.parse(field("data")) } : null;
}
