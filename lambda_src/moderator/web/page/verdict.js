// The verdict, large, and why.

import { $, el, shape, short } from "./dom.js";
import { found, isJudged, queue, verdictNow } from "./judging.js";
import { WORDS } from "./policy.js";
import { on, state } from "./state.js";

export function makeVerdict() {
  on("selection scores thresholds view policy progress", showVerdict);
}

function showVerdict() {
  const picture = state.selected;
  const verdict = verdictNow(picture);
  const place = $.verdict;
  place.dataset.action = verdict?.action ?? "none";
  place.toggleAttribute("data-stale", Boolean(verdict && !isJudged(picture)));
  if (!verdict) return replace(place, heading("none", waits(picture)));
  replace(
    place,
    heading(verdict.action, WORDS[verdict.action]),
    verdict.reasons.length
      ? el("ul.reasons", ...verdict.reasons.map(reason))
      : el("p", "No category reaches its threshold."),
    el("p.hint.small", found(picture).came),
  );
}

function heading(action, text) {
  return el("p.word", shape(action), el("span", text));
}

function waits(picture) {
  if (!picture) return "No picture yet";
  return picture.error ? "Not judged" : queue.has(picture.id) ? "Judging…" : "Not judged yet";
}

function reason({ name, action, score, threshold, label, seconds }) {
  const when = seconds == null ? "" : ` at ${seconds.toFixed(1)} s`;
  const why = label
    ? [` ${short(score)} reaches ${threshold.toFixed(2)}${when}: `, el("q", label)]
    : [": not all frames could be looked at"];
  return el("li", {}, shape(action), el("span", el("b", name), ...why));
}

// A screen reader hears of changes only, not of every redraw.
function replace(place, ...children) {
  const next = el("div", ...children);
  if (place.firstElementChild?.isEqualNode(next)) return;
  place.replaceChildren(next);
}
