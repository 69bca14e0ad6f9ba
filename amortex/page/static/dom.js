// Small helpers: elements, formats, pictures on canvases.

/** An element with attributes and children; handlers are attributes that begin with "on". */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// browsers draw a picture without a source as a broken one
const BLANK = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E";

/** A picture that is not there yet. */
export const emptyPicture = (shape, alt) => el("img", { class: shape, alt, src: BLANK });

let fields = 0;

/** A labelled control; `shown(value)` is written beside the label of a slider. */
export function field(label, control, shown) {
  control.id ||= `field-${(fields += 1)}`;
  const text = el("label", { for: control.id }, label);
  if (shown) {
    const output = el("output", { for: control.id });
    const write = () => { output.textContent = shown(control.value); };
    control.addEventListener("input", write);
    control.writeShown = write;
    write();
    text.append(" ", output);
  }
  return el("div", { class: "field" }, text, control);
}

export function slider(low, high, value, step = 1) {
  return el("input", { type: "range", min: low, max: high, value, step });
}

export function select(options, chosen) {
  const node = el("select", {}, ...options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  return node;
}

/** Radio buttons as one question. */
export function question(legend, options, onchange) {
  const name = `question-${(fields += 1)}`;
  const inputs = options.map(([value, text], index) => {
    const input = el("input", { type: "radio", name, value, checked: index === 0, onchange: () => onchange(value) });
    return el("label", {}, input, text);
  });
  return el("fieldset", {}, el("legend", {}, legend), el("div", { class: "options" }, ...inputs));
}

/** A share with a percent sign that stays on its line. */
export const percent = (share, digits = 1) => (share == null ? "–" : `${(100 * share).toFixed(digits)}\u00a0%`);
export const fixed = (value, digits = 4) => (value == null ? "–" : value.toFixed(digits));

/** Bytes of base64. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function base64Of(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

/** The colours of this page's style, for canvases. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Matplotlib's magma at five points, linear between them. */
const MAGMA = [[0, 0, 4], [81, 18, 124], [183, 55, 121], [252, 137, 97], [252, 253, 191]];

export function magma(share) {
  const place = Math.min(3.999, Math.max(0, 4 * share));
  const [low, high] = [MAGMA[Math.floor(place)], MAGMA[Math.floor(place) + 1]];
  return low.map((value, channel) => value + (place % 1) * (high[channel] - value));
}

/** Draw values (row after row) on a canvas of that many pixels; `paint(value)` gives red, green, blue. */
export function drawValues(canvas, values, width, height, paint) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(width, height);
  for (let index = 0; index < width * height; index += 1) {
    const [red, green, blue] = paint(values[index]);
    image.data[4 * index] = red;
    image.data[4 * index + 1] = green;
    image.data[4 * index + 2] = blue;
    image.data[4 * index + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

export const grey = (value) => [value, value, value];

/** Run once when a section comes near the window. */
export function whenSeen(node, run) {
  const observer = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      observer.disconnect();
      run();
    }
  }, { rootMargin: "200px" });
  observer.observe(node);
}

/** A line that screen readers announce. What has waited for an answer looks whether `turn` is as before: if not, somebody
 * else has spoken since, and the answer is no news. */
export function statusLine() {
  const node = el("p", { class: "status", role: "status" });
  function speak(text, bad) {
    line.turn += 1;
    node.classList.toggle("bad", bad);
    node.textContent = text;
  }
  const line = {
    node,
    turn: 0,
    say(text) { speak(text, false); },
    complain(error) { speak(error.message ?? String(error), true); },
  };
  return line;
}
