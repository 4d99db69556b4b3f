// The picture that is looked at, and what the view covered of it.

import { $, el, say, shape, short, svg } from "./dom.js";
import { found, isJudged, judgeAll, queue } from "./judging.js";
import { verdictOf, WORDS } from "./policy.js";
import { on, state, tell, viewNow } from "./state.js";

const VIEWS = { center: "Centre", squash: "Squash", pad: "Pad", tiles: "Tiles" };
const MOST_TILES = 4;

const radios = {};
let before = ""; // the view that was looked at last

export function makeStage() {
  for (const [view, word] of Object.entries(VIEWS)) {
    const radio = el("input", { type: "radio", name: "view", onchange: () => chooseView(view) });
    const mark = el("span.mark");
    radios[view] = { radio, mark };
    $.views.append(el("label", radio, el("span", word), mark));
  }
  on("selection scores thresholds view policy", showStage);
  on("selection scores view", draw);
}

function chooseView(view) {
  before = viewNow();
  state.view = view === (state.policy.view ?? "tiles") ? "" : view;
  tell("view");
  judgeAll();
}

function showStage() {
  const picture = state.selected;
  for (const [view, { radio, mark }] of Object.entries(radios)) {
    radio.checked = view === viewNow();
    const judged = picture?.judged.get(view);
    const action = judged && verdictOf(state.policy, judged.scores)?.action;
    mark.replaceChildren(...(action ? [shape(action), el("span.unseen", WORDS[action])] : []));
  }
  say("caption", picture ? [picture.name, picture.width && `${picture.width} × ${picture.height}`, picture.note].filter(Boolean).join(" · ") : "");
  say("pictureError", picture?.error ?? "");
  say("covers", picture ? [coverage(picture), difference(picture)].filter(Boolean).join(" ") : "");
  $.stage.toggleAttribute("data-busy", Boolean(picture && !isJudged(picture) && queue.has(picture.id)));
}

function draw() {
  const picture = state.selected;
  $.empty.hidden = Boolean(picture);
  $.canvas.hidden = !picture;
  if (!picture) return $.canvas.replaceChildren();
  if (!picture.url) return $.canvas.replaceChildren(el("p.empty", "This browser cannot show it."));
  const { width, height, url } = picture;
  if ($.canvas.dataset.url !== url || !$.canvas.firstChild) {
    $.canvas.dataset.url = url;
    $.canvas.style.setProperty("--ratio", width / height);
    $.canvas.replaceChildren(el("img", { src: url, alt: picture.name, width, height }));
  }
  $.canvas.querySelector("svg")?.remove();
  const seen = picture.views.get(viewNow())?.coverage;
  if (!seen) return;
  const parts = partsOf(seen.kind, seen.parts, width, height, seen.unseen);
  const rect = ([x, y, w, h], properties) => svg("rect", { x, y, width: w, height: h, ...properties });
  const whole = [0, 0, width, height];
  const mask = svg("mask", { id: "covered" }, rect(whole, { fill: "white" }), ...parts.map((part) => rect(part, { fill: "black" })));
  $.canvas.append(
    svg("svg", { class: "covers", viewBox: whole.join(" "), preserveAspectRatio: "none", "aria-hidden": "true" },
      mask,
      rect(whole, { class: "dim", mask: "url(#covered)" }),
      ...parts.map((part, i) => rect(part, { class: `frame f${i % 2}` }))),
  );
}

// Where the parts of a view lie in a picture: [x, y, width, height] of each (the service's pictures/views.py).
function partsOf(kind, count, width, height, unseen) {
  const [longer, shorter] = [Math.max(width, height), Math.min(width, height)];
  if (kind === "center" && unseen > 0) return [[(width - shorter) / 2, (height - shorter) / 2, shorter, shorter]];
  if (kind !== "tiles" || count === 1) return [[0, 0, width, height]];
  // A long strip is seen in tiles of a quarter of its length, padded.
  const side = Math.min(longer, Math.max(shorter, Math.ceil(longer / MOST_TILES)));
  return Array.from({ length: count }, (_, i) => {
    const start = Math.round((i * (longer - side)) / (count - 1));
    return width >= height ? [start, 0, side, height] : [0, start, width, side];
  });
}

function coverage(picture) {
  const { coverage: seen, frames } = picture.views.get(viewNow()) ?? {};
  if (!seen) return "";
  const motion = frames ? `${frames.seen} of ${frames.of} frames were looked at. ` : "";
  if (seen.unseen >= 0.005) return `${motion}${Math.round(seen.unseen * 100)} % of the picture is not looked at.`;
  const how = { squash: ", squashed to a square", pad: ", padded to a square", tiles: ` in ${seen.parts} tile${seen.parts > 1 ? "s" : ""}` };
  return `${motion}All of it is looked at${how[seen.kind] ?? ""}.`;
}

// What the view before this one said.
function difference(picture) {
  const [other, now] = [picture.judged.get(before)?.scores, found(picture)?.scores];
  if (!other || !now || before === viewNow()) return "";
  const gap = (name) => Math.abs(now[name].score - (other[name]?.score ?? 0));
  const name = Object.keys(now).sort((a, b) => gap(b) - gap(a))[0];
  const was = verdictOf(state.policy, other);
  if (!was) return "";
  return `${VIEWS[before]} says ${WORDS[was.action].toLowerCase()}: ${name} ${short(other[name]?.score ?? 0)} there, ${short(now[name].score)} here.`;
}
