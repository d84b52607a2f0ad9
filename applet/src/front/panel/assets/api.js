// Lists the OpenAPI document.

const api = await (await fetch("/openapi.json")).json();

function add(name, text, to) {
  const element = document.createElement(name);
  element.textContent = text;
  to.append(element);
}

document.getElementById("about").textContent = api.info.description;
const list = document.getElementById("paths");
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, does] of Object.entries(methods)) {
    const queries = (does.parameters ?? []).filter((given) => given.in === "query").map((given) => given.name);
    add("dt", `${method.toUpperCase()} ${path}${queries.length ? `?${queries.join("&")}` : ""}`, list);
    add("dd", does.description ? `${does.summary}. ${does.description}` : `${does.summary}.`, list);
  }
}
