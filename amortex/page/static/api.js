// What the page asks: of the server, or of the files beside it where it is a static version.

let site = null;

export async function loadSite() {
  site = await (await fetch("data/site.json")).json();
  if (site.error) throw new Error(site.error);
  return site;
}

export const isStatic = () => site.static;

async function checked(response) {
  if (response.ok) return response;
  let reason = `the server answered ${response.status}`;
  try {
    reason = (await response.json()).error ?? reason;
  } catch {
    // it was no JSON: the status has to do
  }
  throw new Error(reason);
}

function post(path, body, signal) {
  const headers = { "content-type": body instanceof Blob ? "application/octet-stream" : "application/json" };
  return fetch(path, { method: "POST", headers, body: body instanceof Blob ? body : JSON.stringify(body), signal });
}

export async function ask(path, body) {
  return (await checked(await post(path, body))).json();
}

/** Have the server read a file; the key of the signal. */
export async function upload(modality, file) {
  const limit = 20 * 1024 * 1024;
  if (file.size > limit) throw new Error(`${file.name} has more than 20 MB`);
  return (await ask(`api/upload/${modality}`, new Blob([file]))).key;
}

/** Call `onEvent` with each line of an answer as it comes; errors among them are thrown. */
async function stream(path, body, onEvent, signal) {
  const response = await checked(await post(path, body, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) deliver(JSON.parse(line), onEvent);
  }
}

function deliver(event, onEvent) {
  if (event.event === "error") throw new Error(event.error);
  onEvent(event);
}

const explained = new Map();

/** Explain: events of progress, and one with the result. */
export async function explain(modality, request, onEvent, signal) {
  if (!site.static) return stream(`api/explain/${modality}`, request, onEvent, signal);
  const name = `${request.signal}-${request.method}`;
  if (!explained.has(name)) {
    const response = await fetch(`data/explained/${name}.json`);
    if (!response.ok) throw new Error("this static version has no such explanation");
    explained.set(name, await response.json());
  }
  return deliver({ ...explained.get(name).find((event) => event.event === "result"), name }, onEvent);
}

/** The rate-distortion curve of a result: one event per point. */
export async function curve(modality, result, onEvent, signal) {
  if (!site.static) return stream(`api/curve/${modality}`, { result: result.result }, onEvent, signal);
  explained.get(result.name).filter((event) => event.event === "point").forEach(onEvent);
  return undefined;
}

export const photograph = (key) => `data/signals/${encodeURIComponent(key)}.png`;
