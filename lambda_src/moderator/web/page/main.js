// Builds the page, and takes in what is dropped, pasted or chosen.

import { $, el, say } from "./dom.js";
import { makeEditor } from "./editor.js";
import { makeFilm, playFile } from "./film.js";
import { addPictures, judgeAll } from "./judging.js";
import { chooseSet, makeLabels, showLabels } from "./labels.js";
import { readFragment } from "./link.js";
import { examples } from "./pictures.js";
import { copyOf } from "./policy.js";
import { ask, hasToken, useToken } from "./service.js";
import { makeStage } from "./stage.js";
import { on, state, tell } from "./state.js";
import { makeTake } from "./take.js";
import { makeVerdict } from "./verdict.js";
import { makeWall } from "./wall.js";

for (const make of [makeStage, makeVerdict, makeEditor, makeLabels, makeWall, makeFilm, makeTake]) make();
takeInFiles();
takeInToken();
$.policy.addEventListener("change", (event) => usePolicy(event.target.value));
$.discard.addEventListener("click", () => usePolicy(state.base));
$.new.addEventListener("click", startPolicy);
$.examples.addEventListener("click", async () => takeIn(await examples()));
addEventListener("hashchange", openLink);
on("link", showLabels);
on("policy", showPolicies);
begin();

async function begin() {
  try {
    const [health, sets, policies] = await Promise.all(["health", "label-sets", "policies"].map((path) => ask(path)));
    const { model, warnings } = health.answer;
    state.demo = Boolean(warnings);
    say("notice", warnings?.join(" ") ?? "");
    $.model.textContent = `Model: ${model.name}, ${model.fingerprint.slice(0, 8)}`;
    $.examples.hidden = !state.demo;
    for (const { name, labels, categories } of sets.answer.label_sets) {
      const groups = Object.entries(categories ?? {}).flatMap(([category, texts]) => texts.map((text) => ({ text, category })));
      state.labelSets.set(name, categories ? groups : labels.map((text) => ({ text })));
    }
    for (const { name, policy } of policies.answer.policies) state.policies.set(name, policy);
  } catch (error) {
    if ([401, 403].includes(error.status)) return wantToken(error);
    return say("notice", error.message);
  }
  $.token.hidden = true;
  const linked = await openLink();
  // Not before: what opens here would replace a policy that was begun meanwhile.
  $.new.disabled = $.add.disabled = false;
  if (!linked) openFirst();
}

// The demo's own words are for the demo model only.
function openFirst() {
  const first = (names) => names.find((name) => (name === "demo") === state.demo) ?? names[0] ?? "";
  chooseSet(first([...state.labelSets.keys()]));
  const name = first([...state.policies.keys()]);
  if (name) usePolicy(name);
  else startPolicy();
}

async function openLink() {
  try {
    if (!(await readFragment(location.hash))) return false;
  } catch {
    say("notice", "This link is damaged or for another service.");
    return false;
  }
  tell("policy", "view", "labels", "link");
  judgeAll();
  return true;
}

function usePolicy(name, policy = state.policies.get(name), base = name) {
  Object.assign(state, { policy: copyOf(policy), base, name, view: "" });
  tell("policy", "view");
  judgeAll();
}

function startPolicy() {
  const neutral = state.demo ? ["a yellow square", "a white star"] : ["an ordinary scene from everyday life", "a person talking to the camera"];
  usePolicy("my-policy", { description: "", view: "tiles", neutral, categories: {} }, "");
  $.add.click();
}

function showPolicies() {
  const names = [...(state.base ? [] : [""]), ...state.policies.keys()];
  $.policy.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === state.base }, name || "your own")));
}

async function takeIn(files) {
  const isFilm = (file) => file.type.startsWith("video/");
  addPictures(files.filter((file) => !isFilm(file)));
  for (const file of files.filter(isFilm)) await playFile(file);
}

function takeInFiles() {
  $.files.addEventListener("change", async (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    await takeIn(files);
  });
  addEventListener("paste", (event) => takeIn([...event.clipboardData.files]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    addEventListener(name, (event) => {
      event.preventDefault();
      document.body.toggleAttribute("data-dropping", name === "dragover");
    });
  }
  addEventListener("drop", (event) => takeIn([...event.dataTransfer.files]));
}

function takeInToken() {
  $.tokenOpen.addEventListener("click", () => {
    $.token.hidden = false;
    $.tokenText.focus();
  });
  $.token.addEventListener("submit", (event) => {
    event.preventDefault();
    useToken($.tokenText.value.trim());
    $.token.hidden = true;
    tell("token-used");
    if (state.policies.size) judgeAll();
    else begin();
  });
  on("token", () => wantToken(state.refusal));
}

function wantToken({ status }) {
  $.token.hidden = false;
  $.tokenWhy.textContent = hasToken()
    ? "The service refused this token."
    : status === 403
      ? "The service wants signed requests (auth: iam), which a browser cannot make. Set auth: token, or `make run` with the stack's model."
      : "The service wants a token. It is kept in this tab only.";
  $.tokenText.focus();
}
