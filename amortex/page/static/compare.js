// Two methods on one photograph; a place in one picture is shown in all of them.
import { explain } from "./api.js";
import { el, field, fixed, percent, statusLine, whenSeen } from "./dom.js";
import { Mask, outline } from "./mask.js";
import { lambdaOf, lambdaSlider, MethodControls, nameOf, runButtons, writeLambda } from "./methods.js";
import { fileInput, photographs } from "./photographs.js";
import { interval } from "./results.js";

const ARROWS = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] };

/** One of the methods: its controls, its pictures, its numbers. */
class Side {
  constructor(site, chosen, onHover) {
    this.size = site.image.size[1];
    this.controls = new MethodControls(site.methods.image, 0.05, chosen);
    this.picture = el("canvas", { class: "square paint", tabindex: 0, role: "application",
      "aria-label": "What the method keeps: arrow keys move along the picture" });
    this.layout = el("canvas", { class: "square crisp paint", role: "img", "aria-label": "The mask of the method" });
    this.numbers = el("dl", { class: "facts" });
    this.shown = new Image();
    this.shown.onload = () => this.render();
    this.node = el("div", { class: "side" },
      el("div", { class: "controls" }, ...this.controls.nodes()),
      el("div", { class: "row pictures" },
        el("figure", {}, this.picture, el("figcaption", {}, "What is kept.")),
        el("figure", {}, this.layout, el("figcaption", {}, "The mask."))),
      el("div", { class: "row" }, this.numbers));
    this.picture.addEventListener("pointermove", (event) => onHover(...this.place(event, this.picture)));
    this.layout.addEventListener("pointermove", (event) => this.hoverLayout(event, onHover));
    for (const canvas of [this.picture, this.layout]) canvas.addEventListener("pointerleave", () => onHover(null));
    this.picture.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS)) return;
      event.preventDefault();
      const [right, down] = ARROWS[event.key];
      const [x, y] = this.at ?? [this.size / 2, this.size / 2];
      onHover(Math.max(0, Math.min(this.size - 1, x + right)), Math.max(0, Math.min(this.size - 1, y + down)));
    });
    this.picture.addEventListener("blur", () => onHover(null));
  }

  place(event, canvas) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
  }

  hoverLayout(event, onHover) {
    if (!this.mask) return;
    const [x, y] = this.place(event, this.layout).map((value) => Math.max(0, Math.min(0.9999, value / this.size)));
    const { level, row, column } = this.mask.at(x, y);
    const [left, width] = this.mask.support(level, column);
    const [top, height] = this.mask.support(level, row);
    onHover(left + width / 2, top + height / 2, [left, top, width, height].map((value) => value / this.size));
  }

  show(result) {
    this.result = result;
    this.mask = new Mask(result.mask, this.size);
    this.shown.src = result.picture;
  }

  /** Forget the last result: what comes belongs to another. */
  clear() {
    Object.assign(this, { result: null, mask: null, drawn: null, at: null });
    this.layout.width = this.layout.height;
    this.numbers.replaceChildren();
  }

  render(at = null, box = null) {
    this.at = at;
    this.picture.width = this.size;
    this.picture.height = this.size;
    this.picture.getContext("2d").drawImage(this.shown, 0, 0, this.size, this.size);
    if (!this.mask) return;
    this.drawn ??= this.remember();
    const context = this.layout.getContext("2d");
    context.putImageData(this.drawn, 0, 0);
    if (!at) return;
    outline(this.picture, [box ?? [at[0] / this.size - 0.01, at[1] / this.size - 0.01, 0.02, 0.02]]);
    outline(this.layout, this.mask.over(...at).boxes);
  }

  remember() {
    this.mask.draw(this.layout);
    return this.layout.getContext("2d").getImageData(0, 0, this.layout.width, this.layout.height);
  }

  /** Rate, distortion and objective for a sparsity weight; the mask's values at a place. */
  write(lambda, at) {
    if (!this.result) return;
    const { row, passes } = this.result;
    const pairs = [
      ["kept R", percent(row.rate, 2)], ["distortion D", interval(row.distortion, row.ci_low, row.ci_high)],
      ["class", row.retained ? "retained" : "not retained"], ["passes", passes],
      ["J = D + λR", fixed(row.distortion + lambda * row.rate)],
    ];
    if (row.caveats) pairs.push(["caution", row.caveats]);
    if (at) {
      const { means } = this.mask.over(...at);
      const order = [...means.keys()].slice(1).reverse();
      pairs.push(["kept here", this.mask.levels ? `coarse ${percent(means[0], 0)}, then ${
        order.map((level) => percent(means[level], 0)).join(", ")} fine` : percent(means[0], 0)]);
    }
    this.numbers.replaceChildren(...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  }
}

export function mount(section, site) {
  const root = section.querySelector(".widget");
  const status = statusLine();
  const names = site.methods.image.map(({ name }) => name);
  const weight = lambdaSlider();
  const state = { signal: site.signals.image[0].key };
  const sides = [names[0], names.includes("wam_sg") ? "wam_sg" : names.at(-1)].map((name) => new Side(site, name, hover));
  const picker = photographs(site, state.signal, (key) => {
    state.signal = key;
    buttons.begin();
  });

  function hover(x, y, box = null) {
    const at = x == null ? null : [x, y];
    for (const side of sides) {
      side.render(at, box);
      side.write(lambdaOf(weight.value), at);
    }
  }

  async function run(signal) {
    for (const side of sides) {
      side.clear();
      status.say(`explaining by ${nameOf(side.controls.method.value)}`);
      await explain("image", { signal: state.signal, ...side.controls.request() }, (event) => {
        if (event.event === "progress") {
          side.shown.src = event.picture;
          status.say(`${nameOf(side.controls.method.value)}: step ${event.step} of ${event.steps}`);
        }
        if (event.event === "result") {
          side.show(event);
          side.write(lambdaOf(weight.value));
        }
      }, signal);
    }
    verdict();
  }

  function verdict() {
    sides.forEach((side) => side.write(lambdaOf(weight.value)));
    if (!sides.every((side) => side.result)) return;
    const [first, second] = sides.map(({ result: { row } }) => row.distortion + lambdaOf(weight.value) * row.rate);
    const [better, worse] = first <= second ? sides : [...sides].reverse();
    status.say(`For ${writeLambda(weight.value)}, ${nameOf(better.result.row.method)} has the lower J: ${
      fixed(Math.min(first, second))} against ${fixed(Math.max(first, second))} by ${nameOf(worse.result.row.method)}.`);
  }

  const buttons = runButtons("Compare", status, run);
  const article = ["cartoonx", "pixel_rde"];
  const preset = el("button", { type: "button", hidden: !article.every((name) => names.includes(name)), onclick: () => {
    sides.forEach((side, index) => side.controls.choose(article[index]));
    buttons.begin();
  } }, "CartoonX and Pixel RDE (takes a while)");
  weight.addEventListener("input", verdict);
  root.append(
    el("div", { class: "controls" }, field("Photograph", picker), fileInput("image", root, picker, status),
      field("Judge by", weight, writeLambda), preset, ...buttons.nodes),
    status.node,
    el("div", { class: "row two" }, ...sides.map((side) => side.node)));
  whenSeen(root, buttons.begin);
}
