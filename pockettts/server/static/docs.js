// The page /docs: shows openapi.json.

const METHODS = ["get", "post", "put", "patch", "delete"];

/** Create an element from its name, its text or children, and its attributes. */
function element(name, content = [], attributes = {}) {
  const created = Object.assign(document.createElement(name), attributes);
  created.append(...[content].flat());
  return created;
}

/** Resolve a $ref to the part of the description that it names. Other parts are returned unchanged. */
function resolve(api, part) {
  while (part?.$ref) part = part.$ref.slice(2).split("/").reduce((at, key) => at[key], api);
  return part ?? {};
}

/** A short description of the values that a schema allows. */
function kind(schema) {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(", ");
  if ("const" in schema) return JSON.stringify(schema.const);
  const limits = [schema.minimum, schema.maximum].every((limit) => limit !== undefined) ? ` ${schema.minimum} to ${schema.maximum}` : "";
  return [schema.type ?? "any"].flat().join(" or ") + (schema.format === "binary" ? " (a file)" : "") + limits;
}

function row(name, schema, required, about = schema.description) {
  const title = [element("code", name), ...(required ? [] : [element("span", " optional", { className: "soft" })])];
  return element("tr", [element("td", title), element("td", [element("code", kind(schema)), ...(about ? [element("br"), about] : [])])]);
}

function fields(api, schema) {
  const { properties = {}, required = [] } = schema;
  return element("table", Object.entries(properties).map(([name, each]) => row(name, resolve(api, each), required.includes(name))));
}

function operation(api, path, method, about) {
  const parts = [];
  const parameters = (about.parameters ?? []).map((each) => resolve(api, each));
  if (parameters.length) {
    const rows = parameters.map((each) => row(each.name, resolve(api, each.schema), each.required, each.description));
    parts.push(element("h2", "Parameters"), element("table", rows));
  }
  const body = resolve(api, about.requestBody).content ?? {};
  const types = Object.keys(body);
  if (types.length) parts.push(element("h2", `Body: ${types.join(", ")}`), fields(api, resolve(api, body[types[0]].schema)));
  const responses = Object.entries(about.responses).map(([status, given]) => {
    const response = resolve(api, given);
    const content = Object.keys(response.content ?? {}).join(", ");
    return element("tr", [element("td", element("code", status)), element("td", [response.description, ...(content ? [element("br"), element("code", content)] : [])])]);
  });
  parts.push(element("h2", "Responses"), element("table", responses));
  const title = [element("b", method.toUpperCase()), element("code", path), element("div", about.summary, { className: "soft" })];
  return element("details", [element("summary", title), ...parts]);
}

async function show() {
  const response = await fetch("openapi.json");
  const api = await response.json();
  const { title, version, description } = api.info;
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => operation(api, path, method, methods[method])));
  document.getElementById("docs").replaceChildren(element("h1", `${title} ${version}`), element("p", description), ...operations);
}

show().catch(() => {
  document.getElementById("docs").textContent = "The description can’t be loaded: is the server still running?";
});
