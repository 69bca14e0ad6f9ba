// The methods, and the controls that they have.
import { isStatic } from "./api.js";
import { el, field, percent, select, slider } from "./dom.js";

export const TITLES = {
  amortized: "amortized: predicted, then refined", cartoonx: "CartoonX: optimised over wavelets",
  pixel_rde: "Pixel RDE: optimised over pixels", wam: "WAM: gradient over wavelets",
  wam_sg: "WAM, averaged over noise", wam_ig: "WAM, integrated", smoothgrad: "SmoothGrad: gradient over pixels",
  gradcam: "Grad-CAM: feature maps", magnitude: "largest coefficients (trivial)",
};
/** What a sentence calls a method. */
export const nameOf = (method) => (TITLES[method] ?? method).split(":")[0];

const LAMBDAS = [0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50];
const RATES = [0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1];
const DEFAULT_LAMBDA = 5; // the library's

export const lambdaSlider = () => slider(0, LAMBDAS.length - 1, LAMBDAS.indexOf(DEFAULT_LAMBDA));
export const lambdaOf = (place) => LAMBDAS[place];
export const writeLambda = (place) => `λ = ${lambdaOf(place)}`;

/** A list of methods with the knobs that belong to the chosen one. */
export class MethodControls {
  constructor(methods, defaultRate = 0.05, chosen = methods[0].name) {
    this.methods = new Map(methods.map((method) => [method.name, method.knobs]));
    this.method = select(methods.map(({ name }) => [name, TITLES[name] ?? name]), chosen);
    this.lambda = lambdaSlider();
    this.rate = slider(0, RATES.length - 1, RATES.indexOf(defaultRate));
    this.steps = select([["60", "60, a glimpse"], ["200", "200"], ["800", "800, as the preset fast"]], "200");
    this.fields = {
      lambda_k: field("Sparsity weight", this.lambda, writeLambda),
      rate: field("Keep", this.rate, (place) => percent(RATES[place])),
      steps: field("Steps", this.steps),
    };
    this.method.addEventListener("change", () => this.show());
    this.show();
  }

  choose(method) {
    this.method.value = method;
    this.show();
  }

  show() {
    const knobs = this.methods.get(this.method.value);
    for (const [name, node] of Object.entries(this.fields)) node.hidden = isStatic() || !knobs.includes(name);
  }

  /** What to ask for. */
  request() {
    const knobs = this.methods.get(this.method.value);
    const request = { method: this.method.value };
    if (knobs.includes("lambda_k")) request.lambda_k = lambdaOf(this.lambda.value);
    if (knobs.includes("steps")) request.steps = Number(this.steps.value);
    if (knobs.includes("rate")) request.rate = RATES[this.rate.value];
    return request;
  }

  nodes(label = "Method") {
    return [field(label, this.method), ...Object.values(this.fields)];
  }
}

/** Two buttons that start and stop; `run(signal)` does the work. */
export function runButtons(text, status, run) {
  let controller = null;
  const stop = el("button", { type: "button", hidden: true, onclick: () => controller?.abort() }, "Stop");
  const start = el("button", { type: "button", class: "main", onclick: () => begin() }, text);

  async function begin() {
    controller?.abort();
    const mine = new AbortController();
    controller = mine;
    start.disabled = true;
    stop.hidden = false;
    try {
      await run(mine.signal);
    } catch (error) {
      if (error.name === "AbortError") status.say(`stopped${status.at ? ` ${status.at}` : ""}`);
      else status.complain(error);
    }
    if (controller === mine) {
      start.disabled = false;
      stop.hidden = true;
    }
  }
  return { nodes: [start, stop], begin };
}
