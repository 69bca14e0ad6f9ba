// The page: each section has a widget, in a module of its own.
import { loadSite } from "./api.js";
import { el } from "./dom.js";
import * as compare from "./compare.js";
import * as draw from "./draw.js";
import * as explain from "./explain.js";
import * as fourier from "./fourier.js";
import * as haar from "./haar.js";
import * as listen from "./listen.js";
import * as slices from "./slices.js";

const LOCAL = { fourier, haar };
const ASKING = { draw, explain, compare, listen, slices };

function mount(modules, site) {
  for (const [name, module] of Object.entries(modules)) module.mount(document.getElementById(name), site);
}

mount(LOCAL);
try {
  const site = await loadSite();
  for (const name of document.querySelectorAll(".classifier")) name.textContent = site.image.classifier;
  mount(ASKING, site);
} catch (error) {
  for (const name of Object.keys(ASKING)) {
    document.querySelector(`#${name} .widget`).append(el("p", { class: "status bad" }, `This widget needs the server: ${error.message}`));
  }
}
document.documentElement.dataset.ready = "true";
