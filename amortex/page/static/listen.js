// Sounds: hear what is kept, and what is dropped.
import { explain } from "./api.js";
import { el, emptyPicture, field, percent, question, statusLine, whenSeen } from "./dom.js";
import { drawBands } from "./mask.js";
import { MethodControls, runButtons } from "./methods.js";
import { fileInput, photographs } from "./photographs.js";
import { facts } from "./results.js";

const PARTS = { original: "The whole sound", kept: "What the mask keeps", dropped: "What it drops" };

export function mount(section, site) {
  const root = section.querySelector(".widget");
  const status = statusLine();
  const state = { signal: site.signals.audio[0].key, obfuscation: "default" };
  const parts = Object.fromEntries(Object.entries(PARTS).map(([name, title]) => [name, {
    picture: emptyPicture("wide", `Spectrogram: ${title.toLowerCase()}`),
    sound: el("audio", { controls: true, preload: "auto", "aria-label": title }), title,
  }]));
  const bands = el("canvas", { class: "wide crisp", role: "img", "aria-label": "The mask over time and frequency" });
  const list = el("dl", { class: "facts" });
  const controls = new MethodControls(site.methods.audio, 0.2);
  const picker = photographs(site, state.signal, (key) => { state.signal = key; buttons.begin(); }, "audio");

  async function run(signal) {
    status.say("waiting for the classifier");
    await explain("audio", { signal: state.signal, obfuscation: state.obfuscation, ...controls.request() }, (event) => {
      if (event.event === "progress") status.say(`step ${event.step} of ${event.steps}, keeping ${percent(event.rate)}`);
      if (event.event !== "result") return;
      for (const [name, part] of Object.entries(event.parts)) {
        parts[name].picture.src = part.spectrogram;
        parts[name].sound.src = part.sound;
      }
      drawBands(bands, event.mask);
      facts(list, event.row, [["cost", `${event.passes} classifier passes`, "cost"]]);
      status.say(`${event.row.class_name}, ${event.seconds.toFixed(1)} s of sound.`);
    }, signal);
  }

  const buttons = runButtons("Explain", status, run);
  root.append(
    el("div", { class: "controls" }, field("Sound", picker), fileInput("audio", root, picker, status),
      ...controls.nodes(), site.static ? "" : question("In the certificate, dropped ones become", [["default", "faint or loud noise"], ["zero", "silence"], ["gaussian", "loud noise"]],
        (value) => { state.obfuscation = value; }), ...buttons.nodes),
    status.node,
    el("div", { class: "row" }, ...Object.values(parts).map(({ picture, sound, title }) => (
      el("figure", {}, picture, sound, el("figcaption", {}, `${title}. Time from left to right, high frequencies on top.`))))),
    el("div", { class: "row two" },
      el("figure", {}, bands, el("figcaption", {}, "The mask: a row for each octave. Brighter: more is kept.")),
      el("div", {}, el("h3", {}, "Certificate"), list)));
  whenSeen(root, buttons.begin);
}
