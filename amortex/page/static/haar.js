// Draw in a box: its Haar transform appears beside it, at once.
import { Painting } from "./brush.js";
import { colour, drawValues, el, field, percent, slider } from "./dom.js";
import { countNonZero, haar } from "./math.js";

const SIZE = 128;
const MOST_LEVELS = 7;

export function mount(section) {
  const root = section.querySelector(".widget");
  const canvas = el("canvas", { class: "square paint crisp", width: SIZE, height: SIZE, role: "application",
    "aria-label": "Box to draw in: arrow keys move the brush, space paints" });
  const transformed = el("canvas", { class: "square crisp", role: "img", "aria-label": "Haar transform of the drawing" });
  const counts = el("p", { class: "status", role: "status" });
  const levels = slider(0, MOST_LEVELS, MOST_LEVELS);
  let waiting = false;

  function render({ mask, brush, radius }) {
    drawValues(canvas, mask, SIZE, SIZE, (value) => [value, value, value]);
    if (!brush.shown) return;
    const context = canvas.getContext("2d");
    context.strokeStyle = colour("accent");
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(brush.x, brush.y, radius, 0, 2 * Math.PI);
    context.stroke();
  }

  function transform() {
    waiting = false;
    const depth = Number(levels.value);
    const values = haar(Float64Array.from(painting.mask, (value) => value / 255), SIZE, depth);
    const shown = new Float32Array(values.length);
    for (let row = 0; row < SIZE; row += 1) {
      for (let column = 0; column < SIZE; column += 1) {
        let level = 1;
        while (level < depth && Math.max(row, column) < SIZE / 2 ** level) level += 1;
        const low = Math.max(row, column) < SIZE / 2 ** depth;
        const largest = 2 ** (low ? depth : level - 1);
        shown[row * SIZE + column] = Math.min(255, (255 * Math.abs(values[row * SIZE + column])) / largest);
      }
    }
    drawValues(transformed, shown, SIZE, SIZE, (value) => [value, value, value]);
    const [before, after] = [countNonZero(painting.mask), countNonZero(values)];
    counts.textContent = `Left: ${before.toLocaleString("en")} numbers are not zero. Right: ${after.toLocaleString("en")}${
      before ? `, which is ${percent(after / before)} of that` : ""}. Both hold the same drawing.`;
  }

  const painting = new Painting(canvas, SIZE, render, () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(transform);
  });
  levels.addEventListener("input", transform);
  const brush = slider(1, 24, 8);
  brush.addEventListener("input", () => { painting.radius = Number(brush.value); });
  painting.radius = 8;
  const eraser = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    painting.erasing = !painting.erasing;
    eraser.setAttribute("aria-pressed", painting.erasing);
  } }, "Eraser");
  root.append(
    el("div", { class: "controls" }, field("Levels", levels, (value) => value), field("Brush", brush, (value) => `${value} px`), eraser,
      el("button", { type: "button", onclick: () => painting.fill(() => 0) }, "Clear")),
    el("div", { class: "row two" },
      el("figure", {}, canvas, el("figcaption", {}, "Draw here. Keyboard: arrow keys move the brush, space paints.")),
      el("figure", {}, transformed, el("figcaption", {},
        "Averages top left; differences to the right (across), below (down) and in the corner (both). Brightness is size."))),
    counts);
  for (const [x, y, radius, erasing] of [[60, 62, 40, false], [80, 48, 32, true]]) {
    Object.assign(painting, { radius, erasing });
    painting.dab(x, y);
  }
  Object.assign(painting, { radius: 8, erasing: false });
  render(painting);
  transform();
}
