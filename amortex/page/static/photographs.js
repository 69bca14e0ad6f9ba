// Choosing a bundled signal, or dropping a file of one's own.
import { isStatic, upload } from "./api.js";
import { el, field, select } from "./dom.js";

/** A list of the bundled signals of a kind; `onchoose(key)` is called with the chosen one. */
export function photographs(site, chosen, onchoose, modality = "image") {
  const node = select(site.signals[modality].map(({ key, title }) => [key, title]), chosen);
  node.addEventListener("change", () => onchoose(node.value));
  return node;
}

/** A field for a file, and the whole widget as a place to drop one; the file joins the list of `picker`. */
export function fileInput(modality, root, picker, status) {
  if (isStatic()) return "";
  const accept = { image: "image/*", audio: "audio/*", volume: ".npy,.npz" }[modality];
  const input = el("input", { type: "file", accept });

  async function take(file) {
    if (!file) return;
    status.say(`reading ${file.name}`);
    try {
      const key = await upload(modality, file);
      const known = [...picker.options].find((option) => option.value === key);
      if (!known) picker.prepend(el("option", { value: key }, file.name));
      picker.value = key;
      status.say("");
      picker.dispatchEvent(new Event("change"));
    } catch (error) {
      status.complain(error);
    }
  }

  input.addEventListener("change", () => take(input.files[0]));
  root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("drop"); });
  root.addEventListener("dragleave", () => root.classList.remove("drop"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    root.classList.remove("drop");
    take(event.dataTransfer.files[0]);
  });
  return field("or a file of yours (drop it here)", input);
}
