// The policy: each category's score on a track with its thresholds as handles, and the fields behind it.

import { chips } from "./chips.js";
import { $, el, say, shape, short } from "./dom.js";
import { found, isJudged, judgeSoon } from "./judging.js";
import { actionOf, forgetCalibration, rename, same, WORDS } from "./policy.js";
import { on, state, tell } from "./state.js";

const THRESHOLDS = { review: "Review from", block: "Block from" };
let rows = {}; // category -> { showEditor, fields }
let general = {}; // field -> chips

export function makeEditor() {
  $.add.addEventListener("click", add);
  on("policy", build);
  on("selection scores thresholds view policy progress", showEditor);
  on("policy-error", () => sayMistake(null));
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

// `evidence`: the labels changed, so that the scores must be asked for again.
function edited(evidence, names = []) {
  const forgotten = evidence ? forgetCalibration(state.policy, names) : [];
  if (forgotten.length) say("took", `The calibration of ${forgotten.join(", ")} was for other labels, and is gone.`);
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
      type: "number", min: 0, max: 1, step: "any", placeholder: "never",
      onchange: (event) => set(kind, event.target.value === "" ? null : event.target.valueAsNumber),
    });
  }
  track.append(handles.review, handles.block);
  const fields = {
    labels: chips({ name: "Looks like", values: category.labels, changed: (labels) => relabel("labels", labels) }),
    against: chips({
      name: "Looks alike, and is harmless", values: category.against ?? [], changed: (against) => relabel("against", against),
    }),
  };
  const error = el("p.error", { role: "alert", hidden: true });
  const title = el("input", { value: name, autocomplete: "off", onchange: (event) => retitle(event.target.value.trim()) });
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

  // Neither handle goes past the other: it takes it along.
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

  function relabel(field, labels) {
    category[field] = labels;
    edited(true, [name]);
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
      const said = [review != null && `review ${review}`, block != null && `block ${block}`].filter(Boolean);
      numbers.textContent = said.join(" · ");
      for (const kind of Object.keys(THRESHOLDS)) {
        const value = category[kind];
        handles[kind].hidden = value == null;
        if (value != null) handles[kind].value = value;
        handles[kind].setAttribute("aria-valuetext", String(value));
        if (document.activeElement !== exact[kind]) exact[kind].value = value ?? "";
      }
      for (const [property, value] of [["--from", review ?? block ?? 1], ["--to", block ?? 1], ["--at", now?.score ?? 0]]) {
        track.style.setProperty(property, value);
      }
      track.toggleAttribute("data-scored", Boolean(now));
    },
  };
  return element;
}

function settings() {
  const policy = state.policy;
  const text = (field, words, wide) =>
    el("label.field.wide", words, el(wide ? "textarea" : "input", {
      onchange: (event) => {
        policy[field] = event.target.value;
        tell("thresholds", "edited");
      },
    }, wide ? (policy[field] ?? "") : null));
  general = {
    neutral: chips({
      name: "Neutral", hint: "What every category is compared with.", values: policy.neutral ?? [],
      changed(neutral) {
        policy.neutral = neutral;
        edited(true, Object.keys(policy.categories));
      },
    }),
  };
  const view = el("select", {
    onchange: (event) => {
      policy.view = event.target.value;
      state.view = "";
      tell("view", "thresholds", "edited");
      judgeSoon();
    },
  }, ...["tiles", "center", "squash", "pad"].map((one) => el("option", { selected: one === (policy.view ?? "tiles") }, one)));
  return [text("description", "Description", true), general.neutral.element, el("label.field", "View of this policy ", view)];
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
  if (name) rows[name].say(field, detail);
  else if (field in general) {
    $.settings.open = true;
    general[field].say(detail);
  } else say("policyError", detail);
}
