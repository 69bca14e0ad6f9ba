// What was measured, in words and bars.
import { el, fixed, percent } from "./dom.js";

/** Bars of class probabilities: under noise now, with a tick where they are on the whole image. */
export function classBars(list, classes) {
  list.replaceChildren(...classes.map((entry) => {
    const now = el("span", { class: "now" });
    const clean = el("span", { class: "clean" });
    now.style.width = `${100 * entry.now}%`;
    clean.style.left = `min(calc(100% - 2px), ${100 * entry.clean}%)`;
    return el("li", { class: entry.explained ? "explained" : "" },
      el("span", { class: "name" }, entry.name), el("span", {}, percent(entry.now)),
      el("span", { class: "track" }, now, clean));
  }));
}

export const interval = (value, low, high, write = fixed) => (
  low == null || high == null ? write(value) : `${write(value)} [${write(low)}, ${write(high)}]`
);

/** What a certificate says, in a sentence for somebody who has never seen one. */
export function inWords(row) {
  if (row.retention == null || row.draws < 2) return "";
  const count = Math.round(row.retention * row.draws);
  return `What the mask drops, ${percent(1 - row.rate)} of all, was replaced ${row.draws} times anew. ${count} times the classifier ${
    row.predicted ? "still said" : "said"} “${row.class_name}”. With 95 % confidence, the share over all possible replacements lies between ${
    percent(row.retention_low, 0)} and ${percent(row.retention_high, 0)}. The probability of the class moved by about ${
    (100 * Math.sqrt(row.distortion)).toFixed(1)} percentage points (the root of D).`;
}

/** The certificate of a row as a list of facts; `more` are further pairs. */
export function facts(list, row, more = []) {
  const word = row.predicted ? "retained" : "reached";
  const pairs = [
    ["class", `${row.class_name} (${percent(row.probability)})`, "class"],
    ["kept (rate R)", percent(row.rate, 2), "rate"],
    [row.distortion_name === "label_max" ? "distortion D, 1 − p" : "distortion D",
      interval(row.distortion, row.ci_low, row.ci_high), "distortion"],
    ["in the mean", `class ${row.retained ? "" : "not "}${word}`, "retained"],
    ...(row.draws > 1 ? [["single draws", `${interval(row.retention, row.retention_low, row.retention_high, percent)} of ${row.draws} ${
      row.predicted ? "keep" : "reach"} it`, "retention"]] : []),
    ...more,
  ];
  if (row.caveats) pairs.push(["caution", row.caveats, "caveats"]);
  list.replaceChildren(...pairs.flatMap(([name, value, key]) => [
    el("dt", {}, name), el("dd", { "data-fact": key, class: key === "retained" ? "verdict" : "" }, value),
  ]));
}
