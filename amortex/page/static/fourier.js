// One signal, seen three ways: over time, over frequency, and over both.
import { colour, drawValues, el, field, magma, select } from "./dom.js";
import { fourier, scalogram, scalogramFrequencies } from "./math.js";

const LENGTH = 512;
const [WIDTH, HEIGHT] = [720, 300];

const burst = (centre, cycles) => (index) => (
  Math.exp(-(((index - centre * LENGTH) / (0.07 * LENGTH)) ** 2)) * Math.sin((2 * Math.PI * cycles * index) / LENGTH));
const SIGNALS = {
  bursts: ["two sine bursts", () => [burst(0.25, 20), burst(0.7, 70)]],
  together: ["the same two, together", () => [burst(0.5, 20), burst(0.5, 70)]],
  delta: ["a single peak (delta)", () => [(index) => Number(index === LENGTH / 2)]],
  sine: ["a steady tone", () => [(index) => 0.8 * Math.sin((2 * Math.PI * 32 * index) / LENGTH)]],
  flat: ["nothing: draw it by hand", () => [() => 0]],
};

function synthetic(name) {
  const parts = SIGNALS[name][1]();
  return Float64Array.from({ length: LENGTH }, (_, index) => parts.reduce((sum, part) => sum + part(index), 0));
}

export function mount(section) {
  const root = section.querySelector(".widget");
  const canvases = {
    time: el("canvas", { class: "long paint", tabindex: 0, role: "application",
      "aria-label": "Signal over time: left and right move along, up and down bend it" }),
    frequency: el("canvas", { class: "wide", role: "img", "aria-label": "Fourier magnitude of the signal" }),
    both: el("canvas", { class: "wide", role: "img", "aria-label": "Wavelet scalogram of the signal" }),
  };
  const times = el("figcaption", {}, "");
  const note = el("p", { class: "status", role: "status" });
  const choice = select([...Object.entries(SIGNALS).map(([key, [title]]) => [key, title]), ["nino", "El Niño: sea temperature"]], "bursts");
  const state = { signal: synthetic("bursts"), cursor: LENGTH / 2, focused: false, waiting: false };

  function line(canvas, values, low, high, cursor) {
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const context = canvas.getContext("2d");
    const x = (index) => ((index + 0.5) / values.length) * WIDTH;
    const y = (value) => HEIGHT - 10 - ((value - low) / (high - low || 1)) * (HEIGHT - 20);
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.strokeRect(-1, y(0), WIDTH + 2, 0);
    context.strokeStyle = colour("accent");
    context.lineWidth = 2;
    context.beginPath();
    values.forEach((value, index) => context.lineTo(x(index), y(value)));
    context.stroke();
    if (cursor == null) return;
    context.fillStyle = colour("ink");
    context.fillRect(x(cursor) - 1, 0, 2, HEIGHT);
  }

  function draw() {
    state.waiting = false;
    const { signal } = state;
    const reach = Math.max(1, ...signal.map(Math.abs));
    line(canvases.time, signal, -reach, reach, state.focused ? state.cursor : null);
    const magnitude = fourier(signal);
    line(canvases.frequency, magnitude, 0, Math.max(1e-9, ...magnitude));
    const frequencies = scalogramFrequencies(signal.length);
    const values = scalogram(signal, frequencies);
    const most = values.reduce((highest, value) => Math.max(highest, value), 1e-9);
    drawValues(canvases.both, values, signal.length, frequencies.length, (value) => magma(value / most));
  }

  function later() {
    if (state.waiting) return;
    state.waiting = true;
    requestAnimationFrame(draw);
  }

  async function choose(name) {
    times.textContent = "The signal, over time. Draw on it to change it.";
    note.textContent = "";
    if (name !== "nino") {
      state.signal = synthetic(name);
    } else {
      const { start, step, values } = await (await fetch("data/nino.json")).json();
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      state.signal = Float64Array.from(values, (value) => value - mean);
      times.textContent = `Sea surface temperature of the Pacific in °C above or below its mean, ${start.toFixed(0)} to ${
        (start + step * values.length).toFixed(0)}, four values a year.`;
      note.textContent = 
        "The sharp peak is the seasons: one wave a year, always. El Niño, below it in the scalogram, comes every two to seven years: when it was strong, only the scalogram shows.";
    }
    state.cursor = Math.min(state.cursor, state.signal.length - 1);
    later();
  }

  function bend(from, to, value) {
    const [low, high] = [Math.min(from, to), Math.max(from, to)];
    for (let index = Math.max(0, Math.floor(low)); index <= Math.min(state.signal.length - 1, high); index += 1) {
      state.signal[index] = value;
    }
    later();
  }

  let last = null;
  const { time } = canvases;
  function follow(event) {
    const box = time.getBoundingClientRect();
    const index = ((event.clientX - box.left) / box.width) * state.signal.length;
    const reach = Math.max(1, ...state.signal.map(Math.abs));
    const value = reach * Math.max(-1, Math.min(1, 1 - (2 * (event.clientY - box.top)) / box.height));
    bend(last ?? index, index, value);
    last = index;
  }
  time.addEventListener("pointerdown", (event) => { time.setPointerCapture(event.pointerId); last = null; follow(event); });
  time.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  time.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
    if (!moves) return;
    event.preventDefault();
    state.cursor = Math.max(0, Math.min(state.signal.length - 1, state.cursor + moves[0]));
    for (let offset = -24; moves[1] && offset <= 24; offset += 1) {
      const index = state.cursor + offset;
      if (index in state.signal) state.signal[index] += moves[1] * Math.exp(-((offset / 8) ** 2));
    }
    later();
  });
  for (const [name, focused] of [["focus", true], ["blur", false]]) {
    time.addEventListener(name, () => { state.focused = focused; later(); });
  }
  choice.addEventListener("change", () => choose(choice.value));
  root.append(
    el("div", { class: "controls" }, field("Signal", choice)),
    el("div", { class: "row" }, el("figure", {}, time, times)),
    el("div", { class: "row two" },
      el("figure", {}, canvases.frequency, el("figcaption", {},
        "Fourier magnitude: which frequencies there are, low ones left. When they are cannot be seen.")),
      el("figure", {}, canvases.both, el("figcaption", {},
        "Scalogram: time from left to right, high frequencies on top. What is where, and when."))),
    note);
  choose("bursts");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
}
