// Draw a mask: what is outside it becomes noise, and the classifier answers while one paints.
import { ask, isStatic, showPhotograph } from "./api.js";
import { Painting } from "./brush.js";
import { base64Of, colour, el, field, question, slider, statusLine } from "./dom.js";
import { classBars, facts } from "./results.js";
import { fileInput, photographs } from "./photographs.js";

export function mount(section, site) {
  const root = section.querySelector(".widget");
  if (isStatic()) {
    root.append(el("p", {}, "This widget asks the classifier while you paint, so it needs the running page: ",
      el("code", {}, "python -m amortex.page"), "."));
    return;
  }
  const size = site.image.size[1];
  const canvas = el("canvas", { class: "square paint", width: size, height: size, role: "application",
    "aria-label": "Mask on the photograph: arrow keys move the brush, space paints", "aria-describedby": "draw-keys" });
  const shown = el("img", { class: "square", alt: "The photograph with noise in place of what the mask drops" });
  const bars = el("ul", { class: "bars", "aria-label": "Most likely classes" });
  const list = el("dl", { class: "facts" });
  const status = statusLine();
  const photo = new Image();
  const state = { domain: "pixels", draw: 0, signal: site.signals.image[0].key, under: false, again: null };

  const painting = new Painting(canvas, size, render, () => request());

  function render({ mask, brush, radius }) {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, size, size);
    if (photo.complete && photo.naturalWidth) context.drawImage(photo, 0, 0, size, size);
    const pixels = context.getImageData(0, 0, size, size);
    for (let index = 0; index < mask.length; index += 1) {
      if (mask[index]) continue;
      for (let channel = 0; channel < 3; channel += 1) {
        const place = 4 * index + channel;
        pixels.data[place] = 0.3 * pixels.data[place] + 0.7 * 128;
      }
    }
    context.putImageData(pixels, 0, 0);
    if (!brush.shown) return;
    context.lineWidth = 2;
    for (const [style, wider] of [["white", 1], [colour("accent"), -1]]) {
      context.strokeStyle = style;
      context.beginPath();
      context.arc(brush.x, brush.y, Math.max(1, radius + wider), 0, 2 * Math.PI);
      context.stroke();
    }
  }

  /** Ask for a measurement; while one is under way, only the latest wish waits. */
  async function request(certify = false) {
    if (state.under) {
      state.again = certify;
      return;
    }
    state.under = true;
    const turn = status.turn;
    canvas.setAttribute("aria-busy", "true");
    try {
      const answer = await ask("api/draw/image", { signal: state.signal, mask: base64Of(painting.mask),
        domain: state.domain, draw: state.draw, certify });
      shown.src = answer.picture;
      classBars(bars, answer.classes);
      facts(list, answer);
      if (status.turn === turn) {
        status.say(`${answer.class_name} ${answer.retained ? "is still" : "is no longer"} the most likely class.${
          certify ? "" : " A quick estimate: certify measures more draws."}`);
      }
    } catch (error) {
      status.complain(error);
    }
    state.under = false;
    canvas.removeAttribute("aria-busy");
    if (state.again !== null) {
      const again = state.again;
      state.again = null;
      request(again);
    }
  }

  function choose(key) {
    state.signal = key;
    showPhotograph(photo, key).catch(status.complain);
  }
  photo.onload = () => { render(painting); request(); };

  const brushSize = slider(1, Math.round(size / 4), Math.round(painting.radius));
  brushSize.addEventListener("input", () => { painting.radius = Number(brushSize.value); render(painting); });
  const eraser = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    painting.erasing = !painting.erasing;
    eraser.setAttribute("aria-pressed", painting.erasing);
  } }, "Eraser");
  const picker = photographs(site, state.signal, choose);
  root.append(
    el("div", { class: "controls" }, field("Photograph", picker), fileInput("image", root, picker, status),
      question("The mask keeps or drops", [["pixels", "pixels"], ["wavelets", "wavelet coefficients"]], (value) => {
        state.domain = value;
        request();
      }),
      field("Brush", brushSize, (value) => `${value} px`), eraser,
      el("button", { type: "button", onclick: () => painting.fill((value) => 255 - value) }, "Invert"),
      el("button", { type: "button", onclick: () => painting.fill(() => 0) }, "Clear")),
    el("div", { class: "row" },
      el("figure", {}, canvas, el("figcaption", { id: "draw-keys" },
        "Paint what to keep. Keyboard: arrow keys move the brush (with Shift further), space paints.")),
      el("figure", {}, shown, el("figcaption", {}, "What the classifier sees: one draw of the noise.")),
      el("div", {}, el("h3", {}, "What it answers, on average"), bars,
        el("p", { class: "status" }, "A tick marks the answer for the whole photograph.")),
      el("div", {}, el("h3", {}, "What was measured"), list)),
    el("div", { class: "controls last" },
      el("button", { type: "button", onclick: () => { state.draw += 1; request(); } }, "Another draw"),
      el("button", { type: "button", class: "main", onclick: () => request(true) }, "Certify with 64 draws")),
    status.node);
  painting.brush.y = 0.42 * size;
  const radius = painting.radius;
  painting.radius = 0.33 * size;
  painting.dab(painting.brush.x, painting.brush.y);
  painting.radius = radius;
  choose(state.signal);
}
