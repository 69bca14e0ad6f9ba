// Explain a photograph: what is kept, where, how sure that is, and the whole rate-distortion curve.
import { curve, explain, isStatic, showPhotograph } from "./api.js";
import { CurveChart } from "./curve.js";
import { el, emptyPicture, field, fixed, percent, slider, statusLine, whenSeen } from "./dom.js";
import { Mask } from "./mask.js";
import { lambdaOf, lambdaSlider, MethodControls, nameOf, runButtons, writeLambda } from "./methods.js";
import { fileInput, photographs } from "./photographs.js";
import { facts, inWords } from "./results.js";

export function mount(section, site) {
  const root = section.querySelector(".widget");
  const state = { signal: site.signals.image[0].key, result: null };
  const photo = emptyPicture("square", "The photograph as the classifier sees it");
  const picture = emptyPicture("square", "What the mask keeps of the photograph, without colour");
  const caption = el("figcaption", {}, "What the mask keeps, without colour.");
  const map = emptyPicture("square", "Where in the photograph the kept coefficients are");
  const layout = el("canvas", { class: "square crisp", role: "img", "aria-label": "The mask over the coefficients" });
  const list = el("dl", { class: "facts" });
  const words = el("p", { class: "status" });
  const chart = new CurveChart();
  const status = statusLine();
  const where = el("p", { class: "status", role: "status" });
  const target = el("input", { type: "text", list: "classes", placeholder: "the predicted one", maxlength: 100 });
  const controls = new MethodControls(site.methods.image);
  const picker = photographs(site, state.signal, (key) => {
    state.signal = key;
    showPhotograph(photo, key).catch(status.complain);
    buttons.begin();
  });
  const rate = slider(0, 0, 0);
  const weight = lambdaSlider();
  const own = el("button", { type: "button", onclick: () => showOwn() }, "The method's own mask");

  function show(source, text) {
    picture.src = source;
    caption.textContent = text;
  }

  function point(index) {
    const chosen = chart.points[index];
    chart.here = chosen;
    chart.draw();
    show(chosen.picture, `What the ${percent(chosen.rate, 2)} keep that the method ranks highest.`);
    rate.value = index;
    rate.writeShown();
    const objective = chosen.distortion + lambdaOf(weight.value) * chosen.rate;
    where.textContent = `Keeping ${percent(chosen.rate, 2)}: D = ${fixed(chosen.distortion)}, class ${
      chosen.retained ? "" : "not "}retained, J = D + λR = ${fixed(objective)}.`;
  }

  function along() {
    if (!chart.points.length) return "not measured yet";
    return chart.here ? `keep ${percent(chart.here.rate, 2)}` : "own mask";
  }

  function best() {
    if (!chart.points.length) return;
    const objectives = chart.points.map(({ distortion, rate: share }) => distortion + lambdaOf(weight.value) * share);
    point(objectives.indexOf(Math.min(...objectives)));
  }

  function showOwn() {
    if (!state.result) return;
    chart.here = null;
    chart.draw();
    show(state.result.picture, "What the method's own mask keeps, without colour.");
    const away = chart.points.map((one) => Math.abs(Math.cbrt(one.rate) - Math.cbrt(chart.own.rate)));
    rate.value = Math.max(0, away.indexOf(Math.min(...away)));
    rate.writeShown();
    where.textContent = `The method's own mask, keeping ${percent(chart.own.rate, 2)}: J = D + λR = ${
      fixed(chart.own.distortion + lambdaOf(weight.value) * chart.own.rate)}.`;
  }

  function showResult(result) {
    state.result = result;
    const { row } = result;
    facts(list, row, [["cost", `${result.passes} classifier passes, ${row.seconds.toPrecision(3)} s`, "cost"]]);
    words.textContent = row.predicted ? inWords(row) : "";
    map.src = result.map;
    new Mask(result.mask, site.image.size[1]).draw(layout);
    chart.own = { rate: row.rate, distortion: row.distortion };
    showOwn();
    status.say(saidOf(row, "."));
  }

  const saidOf = (row, rest) => `${row.class_name}: explained by ${nameOf(row.method)}${rest}`;

  async function run(signal) {
    chart.clear();
    rate.max = 0;
    status.at = "";
    status.say("waiting for the classifier");
    let result = null;
    const request = { signal: state.signal, target: target.value, ...controls.request() };
    await explain("image", request, (event) => {
      if (event.event === "progress") {
        show(event.picture, "What the mask keeps so far, without colour.");
        status.at = `after ${event.step} of ${event.steps} steps: what is shown is not measured`;
        status.say(`step ${event.step} of ${event.steps}, keeping ${percent(event.rate)}`);
      } else if (event.event === "result") {
        result = event;
        showResult(event);
      }
    }, signal);
    status.at = "while the curve was measured";
    await curve("image", result, (event) => {
      if (event.event !== "point") return;
      chart.points.push(event);
      status.say(saidOf(result.row, `; measuring its curve, ${chart.points.length} points so far`));
      rate.max = chart.points.length - 1;
      if (chart.here) {
        rate.writeShown();
        chart.draw();
      } else {
        showOwn();
      }
    }, signal);
    status.say(saidOf(result.row, ", and its curve is measured."));
  }

  const buttons = runButtons("Explain", status, run);
  rate.addEventListener("input", () => { if (chart.points.length) point(Number(rate.value)); });
  weight.addEventListener("input", best);
  root.append(
    el("div", { class: "controls" }, field("Photograph", picker), fileInput("image", root, picker, status),
      ...controls.nodes(), isStatic() ? "" : field("For the class", target), ...buttons.nodes),
    status.node,
    el("div", { class: "row pictures" },
      el("figure", {}, photo, el("figcaption", {}, "The photograph.")),
      el("figure", {}, picture, caption),
      el("figure", {}, map, el("figcaption", {}, "Where the method's own mask is, on the pixels.")),
      el("figure", {}, layout, el("figcaption", {}, "That mask itself: coarse coefficients top left, fine ones outside. Bright ones are kept."))),
    el("div", { class: "row two late" },
      el("div", {}, el("h3", {}, "Certificate of the method's own mask"), list, words),
      el("div", {}, el("h3", {}, "The whole curve"),
        el("div", { class: "controls last" },
          field("Along the curve", rate, () => along()),
          field("Best for", weight, writeLambda), own),
        where, chart.node,
        el("p", { class: "status" }, "The large dot is what is shown above. Where a ring is grey, the class is lost."))),
    el("datalist", { id: "classes" }, ...site.image.classes.map((name) => el("option", { value: name }))));
  showPhotograph(photo, state.signal).catch(status.complain);
  whenSeen(root, buttons.begin);
}
