// The rate-distortion curve as a chart: distortion against the share that is kept, with the point where one is.
import { percent } from "./dom.js";

const [WIDTH, HEIGHT] = [480, 270];
const BOX = { left: 48, right: 14, top: 14, bottom: 40 };
const TICKS = [0, 0.01, 0.05, 0.2, 0.5, 1];

function shape(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text != null) node.textContent = text;
  return node;
}

export class CurveChart {
  constructor() {
    this.node = shape("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
      "aria-label": "Rate-distortion curve" });
    this.clear();
  }

  clear() {
    this.points = [];
    this.own = null;
    this.here = null;
    this.draw();
  }

  /** Where a point is drawn: a cubic root gives the low rates room. */
  place(rate, distortion) {
    const most = Math.max(1e-6, ...this.points.map((point) => point.distortion), this.own?.distortion ?? 0) * 1.05;
    return [
      BOX.left + Math.cbrt(rate) * (WIDTH - BOX.left - BOX.right),
      HEIGHT - BOX.bottom - (distortion / most) * (HEIGHT - BOX.top - BOX.bottom),
    ];
  }

  draw() {
    const parts = [];
    const floor = HEIGHT - BOX.bottom;
    for (const tick of TICKS) {
      const [x] = this.place(tick, 0);
      parts.push(shape("line", { class: "axis", x1: x, x2: x, y1: BOX.top, y2: floor }),
        shape("text", { x, y: floor + 16, "text-anchor": "middle" }, `${100 * tick}`));
    }
    parts.push(shape("line", { class: "axis", x1: BOX.left, x2: WIDTH - BOX.right, y1: floor, y2: floor }),
      shape("text", { x: (WIDTH + BOX.left) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "kept coefficients (%)"),
      shape("text", { transform: `translate(14 ${HEIGHT / 2}) rotate(-90)`, "text-anchor": "middle" }, "distortion D"));
    const highest = Math.max(0, ...this.points.map((point) => point.distortion));
    if (highest) {
      const [, y] = this.place(0, highest);
      parts.push(shape("text", { x: BOX.left - 11, y: y + 4, "text-anchor": "end" }, highest.toPrecision(2)),
        shape("text", { x: BOX.left - 11, y: floor + 4, "text-anchor": "end" }, "0"));
    }
    const places = this.points.map((point) => this.place(point.rate, point.distortion));
    parts.push(shape("polyline", { class: "line", points: places.map((place) => place.join()).join(" ") }));
    this.points.forEach((point, index) => {
      parts.push(shape("circle", { class: point.retained ? "dot" : "dot lost", cx: places[index][0], cy: places[index][1], r: 3 }));
    });
    const shown = this.here ?? this.own;
    if (shown) {
      const [x, y] = this.place(shown.rate, shown.distortion);
      parts.push(shape("circle", { class: "here", cx: x, cy: y, r: 8 }));
      this.node.setAttribute("aria-label", `Rate-distortion curve; here ${percent(shown.rate, 2)} are kept, distortion ${
        shown.distortion.toFixed(4)}`);
    }
    this.node.replaceChildren(...parts);
  }
}
