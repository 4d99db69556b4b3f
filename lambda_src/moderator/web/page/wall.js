// Many pictures at once, the worst first.

import { $, el, say, shape } from "./dom.js";
import { found, isJudged, judgeAll, queue, removePictures, select, verdictNow } from "./judging.js";
import { ACTIONS, WORDS } from "./policy.js";
import { on, state } from "./state.js";

const tiles = new Map(); // picture -> its button's place in the grid
const filter = { action: "", category: "" };
let planned = false;

export function makeWall() {
  const choices = ["", "block", "review", "allow"].map((action) =>
    el("button", { class: "filter", "data-action": action, onclick: () => filterBy({ action }) }));
  $.verdicts.append(...choices);
  $.category.addEventListener("change", (event) => filterBy({ category: event.target.value }));
  $.clear.addEventListener("click", () => {
    queue.cancel();
    removePictures([...state.pictures]);
  });
  $.cancel.addEventListener("click", () => (queue.left() ? queue.cancel() : judgeAll()));
  on("pictures selection scores thresholds view policy progress", plan);
  on("policy", () => {
    if (!(filter.category in state.policy.categories)) filter.category = "";
    $.category.replaceChildren(
      ...["", ...Object.keys(state.policy.categories)].map((name) => el("option", { value: name, selected: name === filter.category }, name || "any")),
    );
  });
}

function filterBy(change) {
  Object.assign(filter, change);
  plan();
}

// Many answers at once are one drawing.
function plan() {
  if (planned) return;
  planned = true;
  setTimeout(() => {
    planned = false;
    showWall();
  }, 100);
}

function showWall() {
  const { pictures } = state;
  $.clear.hidden = !pictures.length;
  $.wall.hidden = pictures.length < 2;
  const judged = pictures.map((picture) => ({ picture, ...rank(picture) }));
  for (const picture of tiles.keys()) if (!pictures.includes(picture)) tiles.delete(picture);
  judged.sort((a, b) => b.action - a.action || b.score - a.score || a.picture.id - b.picture.id);
  const shown = judged.filter(({ verdict, reason }) =>
    (!filter.action || verdict?.action === filter.action) && (!filter.category || reason));
  arrange($.grid, shown.map(({ picture, verdict }) => tile(picture, verdict)));
  for (const button of $.verdicts.children) {
    const { action } = button.dataset;
    const count = action ? judged.filter(({ verdict }) => verdict?.action === action).length : judged.length;
    button.replaceChildren(...(action ? [shape(action)] : []), `${action ? WORDS[action] : "All"} ${count}`);
    button.setAttribute("aria-pressed", String(filter.action === action));
  }
  progress(judged);
}

function rank(picture) {
  const verdict = verdictNow(picture);
  if (!verdict) return { verdict, action: -1, score: 0 };
  const reason = verdict.reasons.find(({ name }) => !filter.category || name === filter.category);
  const highest = Math.max(...Object.values(found(picture).scores).map(({ score }) => score));
  return { verdict, reason, action: ACTIONS.indexOf(reason?.action ?? "allow"), score: reason?.score ?? highest };
}

function progress(judged) {
  const left = judged.filter(({ picture }) => !picture.error && !isJudged(picture)).length;
  const failed = judged.filter(({ picture }) => picture.error).length;
  say("counts", `${judged.length - left - failed} of ${judged.length} judged${failed ? `, ${failed} could not be` : ""}`);
  $.progress.hidden = !left;
  $.bar.max = judged.length;
  $.bar.value = judged.length - left;
  $.cancel.textContent = queue.left() ? "Cancel" : "Go on";
}

function tile(picture, verdict) {
  if (!tiles.has(picture)) {
    const said = el("span.said");
    const button = el("button", { onclick: () => open(picture) }, el("span.no-image", picture.name), said);
    tiles.set(picture, { item: el("li", button), button, said, key: null });
  }
  const { item, button, said } = tiles.get(picture);
  if (picture.thumbnail && button.firstChild.tagName !== "IMG") {
    button.firstChild.replaceWith(el("img", { src: picture.thumbnail, alt: "" }));
  }
  const action = picture.error ? "error" : (verdict?.action ?? "none");
  const reason = verdict?.reasons[0]?.name ?? "";
  const key = `${action} ${reason}`;
  if (tiles.get(picture).key !== key) {
    tiles.get(picture).key = key;
    button.dataset.action = action;
    const words = picture.error ? "Not judged" : action === "none" ? "Waiting" : WORDS[action];
    said.replaceChildren(shape(action === "error" ? "none" : action), words);
    button.setAttribute("aria-label", `${picture.name}: ${words}${reason && `, ${reason}`}`);
  }
  button.toggleAttribute("data-stale", !picture.error && !isJudged(picture));
  button.ariaCurrent = state.selected === picture ? "true" : null;
  return item;
}

// Moving an element takes the focus from it.
function arrange(grid, items) {
  if (items.length === grid.children.length && items.every((item, at) => item === grid.children[at])) return;
  const focused = grid.contains(document.activeElement) ? document.activeElement : null;
  grid.replaceChildren(...items);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}

function open(picture) {
  select(picture);
  const box = $.stage.getBoundingClientRect();
  if (box.top < 0 || box.top > innerHeight / 2) $.stage.scrollIntoView({ block: "start" });
}
