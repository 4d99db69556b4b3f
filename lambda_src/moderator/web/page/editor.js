// The policy: each category's score on a track with its thresholds as handles, and the fields behind it.

import { chips } from "./chips.js";
import { $, el, say, shape, short } from "./dom.js";
import { found, isJudged, judgeSoon } from "./judging.js";
import { actionOf, forgetCalibration, rename, same, WORDS } from "./policy.js";
import { on, state, tell } from "./state.js";

const THRESHOLDS = { review: "Review from", block: "Block from" };
let rows = {}; // category -> { show, say, open }
let general = {}; // field -> chips

export function makeEditor() {
  $.add.addEventListener("click", add);
  on("policy", build);
  on("selection scores thresholds view policy", showEditor);
  // At once, not when pictures are asked about a moment later: by then it may have been saved and refused.
  on("policy thresholds", () => sayMistake(null));
  on("policy-mistake", () => sayMistake(state.mistake));
}

function build() {
  rows = {};
  $.categories.replaceChildren(...Object.keys(state.policy.categories).map(row));
  $.settingsFields.replaceChildren(...settings());
}

function showEditor() {
  const configured = state.policies.get(state.base);
  const edited = Boolean(configured) && !same(configured, state.policy);
  $.edited.hidden = $.discard.hidden = !edited;
  say("about", state.policy.description ?? "");
  for (const one of Object.values(rows)) one.show();
}

// `evidence`: the labels changed, so the scores must be asked for again.
function edited(evidence, names = []) {
  if (evidence && forgetCalibration(state.policy, names)) say("took", "The calibration for the old labels is removed.");
  tell("thresholds", "edited");
  judgeSoon();
}

function row(name) {
  const category = state.policy.categories[name];
  const score = el("output.score");
  const mark = el("span.mark");
  const track = el("div.track", el("span.needle"));
  const numbers = el("span.hint.small.numbers");
  const handles = {};
  const exact = {};
  for (const [kind, words] of Object.entries(THRESHOLDS)) {
    handles[kind] = el("input", {
      type: "range", class: kind, min: 0, max: 1, step: 0.01, "aria-label": `${name}: ${words.toLowerCase()}`,
      oninput: (event) => drag(kind, event.target.valueAsNumber),
    });
    exact[kind] = el("input", {
      type: "number", min: 0, max: 1, step: "any",
      onchange: (event) => set(kind, event.target.value === "" ? null : event.target.valueAsNumber),
    });
  }
  track.append(handles.review, handles.block);
  const fields = {};
  for (const [field, words] of [["labels", "Looks like"], ["against", "Looks alike, and is harmless"]]) {
    fields[field] = chips({
      name: words, values: category[field] ?? [],
      changed(labels) {
        category[field] = labels;
        edited(true, [name]);
      },
    });
  }
  const error = el("p.error", { role: "alert", hidden: true });
  const title = el("input", { value: name, onchange: (event) => retitle(event.target.value.trim()) });
  const details = el("details",
    el("summary", el("span.unseen", name), " Edit"),
    el("div.fields",
      el("label.field.wide", "Category", title),
      fields.labels.element,
      fields.against.element,
      el("div.bar",
        ...Object.entries(THRESHOLDS).map(([kind, words]) => el("label.field", words, exact[kind])),
        el("button", { onclick: remove }, `Remove ${name}`)),
    ));
  const element = el("li.category", el("div.line", mark, el("h3", name), numbers, score), track, error, details);

  // A handle does not pass the other: it pushes it.
  function drag(kind, value) {
    category[kind] = value;
    if (category.review > category.block) category[kind === "review" ? "block" : "review"] = value;
    edited(false);
  }

  function set(kind, value) {
    if (value == null) delete category[kind];
    else category[kind] = value;
    edited(false);
  }

  function retitle(to) {
    if (!to || to in state.policy.categories) return void (title.value = name);
    rename(state.policy, name, to);
    tell("policy", "edited");
    rows[to].open();
    judgeSoon();
  }

  function remove() {
    forgetCalibration(state.policy, [name]);
    delete state.policy.categories[name];
    tell("policy", "edited");
    $.add.focus();
    judgeSoon();
  }

  rows[name] = {
    open() {
      details.open = true;
      title.focus();
    },
    say(field, text) {
      for (const one of Object.values(fields)) one.say("");
      const chipped = fields[field];
      error.hidden = !text || Boolean(chipped);
      error.textContent = chipped ? "" : text;
      chipped?.say(text);
      if (text) details.open = true;
    },
    show() {
      const { review, block } = category;
      const now = found(state.selected)?.scores[name];
      const action = now && actionOf(category, now.score);
      element.dataset.action = action ?? "none";
      element.toggleAttribute("data-stale", Boolean(now) && !isJudged(state.selected));
      mark.replaceChildren(shape(action ?? "none"), el("span.unseen", action ? `${WORDS[action]}: ` : ""));
      score.textContent = now ? short(now.score) : "–";
      numbers.textContent = Object.keys(THRESHOLDS).filter((kind) => category[kind] != null).map((kind) => `${kind} ${category[kind]}`).join(" · ");
      for (const kind of Object.keys(THRESHOLDS)) {
        const value = category[kind];
        handles[kind].hidden = value == null;
        if (value != null) handles[kind].value = value;
        handles[kind].setAttribute("aria-valuetext", String(value));
        if (document.activeElement !== exact[kind]) exact[kind].value = value ?? "";
      }
      const places = { from: review ?? block ?? 1, to: block ?? 1, at: now?.score ?? 0 };
      for (const name of Object.keys(places)) track.style.setProperty(`--${name}`, places[name]);
      track.toggleAttribute("data-scored", Boolean(now));
    },
  };
  return element;
}

function settings() {
  const { policy } = state;
  const set = (field) => (event) => {
    policy[field] = event.target.value;
    state.view = "";
    edited(false);
    tell("view");
  };
  const neutral = chips({
    name: "Neutral: what every category is compared with", values: policy.neutral ?? [],
    changed(labels) {
      policy.neutral = labels;
      edited(true, Object.keys(policy.categories));
    },
  });
  general = { neutral };
  const views = ["tiles", "center", "squash", "pad"].map((view) => el("option", { selected: view === (policy.view ?? "tiles") }, view));
  return [
    el("label.field.wide", "Description", el("textarea", { onchange: set("description") }, policy.description ?? "")),
    neutral.element,
    el("label.field", "View", el("select", { onchange: set("view") }, ...views)),
  ];
}

function add() {
  let name = "new category";
  for (let number = 2; name in state.policy.categories; number += 1) name = `new category ${number}`;
  state.policy.categories[name] = { labels: [], against: [], review: 0.5 };
  tell("policy", "edited");
  rows[name].open();
}

function sayMistake(mistake) {
  for (const one of Object.values(rows)) one.say("", "");
  general.neutral?.say("");
  say("policyError", "");
  if (!mistake) return;
  const { name, field, detail } = mistake;
  if (name in rows) rows[name].say(field, detail);
  else if (field in general) {
    $.settings.open = true;
    general[field].say(detail);
  } else say("policyError", detail);
}
