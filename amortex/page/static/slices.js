// Volumes: move a slice through what is kept.
import { explain } from "./api.js";
import { bytesOf, drawValues, el, field, grey, magma, percent, question, slider, statusLine, whenSeen } from "./dom.js";
import { MethodControls, runButtons } from "./methods.js";
import { fileInput, photographs } from "./photographs.js";
import { facts } from "./results.js";

const PARTS = { volume: "The volume", kept: "What the mask keeps", map: "Where that is" };
const AXES = [["0", "depth"], ["1", "height"], ["2", "width"]];

/** A slice of a volume across an axis, and its height and width. */
function cut(values, [depth, height, width], axis, index) {
  const sides = [[height, width], [depth, width], [depth, height]][axis];
  const at = [
    (row, column) => (index * height + row) * width + column,
    (row, column) => (row * height + index) * width + column,
    (row, column) => (row * height + column) * width + index,
  ][axis];
  const slice = new Uint8Array(sides[0] * sides[1]);
  for (let place = 0; place < slice.length; place += 1) {
    slice[place] = values[at(Math.floor(place / sides[1]), place % sides[1])];
  }
  return [slice, ...sides];
}

export function mount(section, site) {
  const root = section.querySelector(".widget");
  const status = statusLine();
  const state = { signal: site.signals.volume[0].key, axis: 0, volume: null };
  const canvases = Object.fromEntries(Object.entries(PARTS).map(([name, title]) => (
    [name, el("canvas", { class: "square crisp", role: "img", "aria-label": `${title}, one slice` })])));
  const list = el("dl", { class: "facts" });
  const position = slider(0, 15, 8);
  const controls = new MethodControls(site.methods.volume);
  const picker = photographs(site, state.signal, (key) => { state.signal = key; buttons.begin(); }, "volume");

  function draw() {
    if (!state.volume) return;
    const { shape, parts } = state.volume;
    position.max = shape[state.axis] - 1;
    position.writeShown();
    for (const [name, canvas] of Object.entries(canvases)) {
      const [slice, height, width] = cut(parts[name], shape, state.axis, Number(position.value));
      drawValues(canvas, slice, width, height, name === "map" ? (value) => magma(value / 255) : grey);
    }
  }

  async function run(signal) {
    status.say("waiting for the classifier");
    await explain("volume", { signal: state.signal, ...controls.request() }, (event) => {
      if (event.event === "progress") status.say(`step ${event.step} of ${event.steps}, keeping ${percent(event.rate)}`);
      if (event.event !== "result") return;
      state.volume = { shape: event.shape, parts: Object.fromEntries(
        Object.entries(event.parts).map(([name, values]) => [name, bytesOf(values)])) };
      facts(list, event.row, [["cost", `${event.passes} classifier passes`, "cost"]]);
      status.say(`The classifier sees ${event.row.class_name}.`);
      draw();
    }, signal);
  }

  const buttons = runButtons("Explain", status, run);
  position.addEventListener("input", draw);
  root.append(
    el("div", { class: "controls" }, field("Volume", picker), fileInput("volume", root, picker, status),
      ...controls.nodes(), ...buttons.nodes),
    status.node,
    el("div", { class: "controls" },
      question("Cut across", AXES, (value) => { state.axis = Number(value); draw(); }),
      field("Slice", position, (value) => `${Number(value) + 1} of ${Number(position.max) + 1}`)),
    el("div", { class: "row" }, ...Object.entries(canvases).map(([name, canvas]) => (
      el("figure", {}, canvas, el("figcaption", {}, `${PARTS[name]}.`)))),
    el("div", {}, el("h3", {}, "Certificate"), list)));
  whenSeen(root, buttons.begin);
}
