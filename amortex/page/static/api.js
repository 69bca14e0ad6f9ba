// What the page asks: of the server, or of the files beside it where it is a static version.

let site = null;
const TAB = Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(16)).join("-");
const PATIENCE = 30; // times that a busy server is asked again

export async function loadSite() {
  site = await (await patiently("data/site.json")).json();
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

/** Wait; rejects at once when the signal aborts. */
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

/** Fetch, and ask again as long as the server says that it is busy. */
async function patiently(path, options = {}) {
  const request = { ...options, headers: { "x-tab": TAB, ...options.headers } };
  for (let times = 0; ; times += 1) {
    const response = await fetch(path, request);
    const pause = Number(response.headers.get("retry-after")) || 2; // seconds
    if (response.status !== 503 || times === PATIENCE) return response;
    await wait(pause * (0.5 + Math.random()), options.signal); // not all at the same moment
  }
}

function post(path, body, signal) {
  const headers = { "content-type": body instanceof Blob ? "application/octet-stream" : "application/json" };
  return patiently(path, { method: "POST", headers, body: body instanceof Blob ? body : JSON.stringify(body), signal });
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

/** Show a photograph as the classifier sees it, unless another is asked for meanwhile. */
export async function showPhotograph(image, key) {
  image.wanted = key;
  const response = await checked(await patiently(`data/signals/${encodeURIComponent(key)}.png`));
  const photograph = await response.blob();
  if (image.wanted !== key) return;
  const address = URL.createObjectURL(photograph);
  image.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
  image.src = address;
}
