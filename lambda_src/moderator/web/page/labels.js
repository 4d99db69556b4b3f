// Your own labels, and how probable each is; they count before Enter is pressed.

import { chips } from "./chips.js";
import { $, el, later, short } from "./dom.js";
import { askAbout, place, queue } from "./judging.js";
import { on, state, tell, viewNow } from "./state.js";

const FEW = 8;
let box;
let draft = "";

export function makeLabels() {
  box = chips({
    name: "Look for",
    values: [],
    changed(texts) {
      const categories = new Map(state.labels.map(({ text, category }) => [text, category]));
      state.labels = texts.map((text) => ({ text, category: categories.get(text) }));
      state.labelSet = $.labelSet.value = "";
      draft = "";
      tell("labels", "edited");
    },
    typed(text) {
      draft = text;
      soon();
    },
  });
  $.labels.append(box.element);
  $.labelSet.addEventListener("change", (event) => chooseSet(event.target.value));
  const soon = later(300, classify);
  on("labels selection scores view", soon);
  on("selection labels", showBars);
}

export function chooseSet(name) {
  state.labelSet = name;
  state.labels = state.labelSets.get(name) ?? state.labels;
  tell("labels", "edited", "link");
}

// What the boxes show when the labels were not typed.
export function showLabels() {
  box.set(state.labels.map(({ text }) => text));
  $.labelSet.replaceChildren(
    ...["", ...state.labelSets.keys()].map((name) => el("option", { value: name, selected: name === state.labelSet }, name || "your own")),
  );
}

// In a list, or with categories where every label has one.
export function labelsField(labels) {
  const grouped = labels.length && labels.every(({ category }) => category);
  return grouped ? Object.fromEntries(labels.map(({ text, category }) => [text, category])) : labels.map(({ text }) => text);
}

function wanted() {
  const typed = draft && !state.labels.some(({ text }) => text === draft);
  return typed ? [...state.labels, { text: draft }] : state.labels;
}

function classify() {
  const picture = state.selected;
  const labels = wanted();
  box.say("");
  if (!picture || picture.error || !labels.length) return showBars();
  if (queue.has(picture.id)) return; // its scores come first, and call again
  const [view, fields] = [viewNow(), { labels: labelsField(labels) }];
  const key = JSON.stringify([view, fields]);
  if (picture.labelled?.key === key) return showBars();
  queue.add("labels", async (signal) => {
    try {
      const asked = await askAbout(picture, "classify", view, fields, signal);
      picture.labelled = { key, ...asked };
      showBars();
    } catch (error) {
      if (signal.aborted) throw error;
      if (/^(labels?|label_set|The label)\b/.test(error.message)) box.say(error.message);
      else place(error, picture);
    }
  }, true);
}

function showBars() {
  const labelled = state.selected?.labelled;
  const bars = $.bars;
  const result = Object.entries(labelled?.answer.result ?? {});
  // A few stay in place while you type; many are worth reading from the top only.
  if (result.length > FEW) result.sort((a, b) => b[1] - a[1]);
  const old = new Map([...bars.children].map((bar) => [bar.dataset.label, bar]));
  const next = result.map(([label, share]) => {
    const bar = old.get(label) ?? el("li", { "data-label": label }, el("span.name", label), el("span.rail", el("span")), el("output"));
    bar.style.setProperty("--share", share);
    bar.querySelector("output").textContent = short(share);
    return bar;
  });
  if (next.length !== bars.children.length || next.some((bar, at) => bar !== bars.children[at])) bars.replaceChildren(...next);
  $.came.textContent = labelled?.came ?? "";
}
