// Has pictures judged by the policy as it is now, each once for a view and for the labels that the policy asks about.

import { el, later, say } from "./dom.js";
import { drawn, forget } from "./pictures.js";
import { openPolicy, placeOf, verdictOf } from "./policy.js";
import { makeQueue } from "./queue.js";
import { ask } from "./service.js";
import { state, tell, viewNow } from "./state.js";

export const queue = makeQueue(4, () => tell("progress"));

export const found = (picture) => picture?.judged.get(viewNow());
export const verdictNow = (picture) => found(picture) && verdictOf(state.policy, found(picture).scores);
const evidenceNow = () => JSON.stringify(openPolicy(state.policy));
export const isJudged = (picture) => found(picture)?.evidence === evidenceNow();

export function addPicture(picture) {
  state.pictures.push(picture);
  if (!state.selected) state.selected = picture;
  tell("pictures", "selection");
  enqueue(picture);
}

export function select(picture) {
  state.selected = picture;
  tell("selection");
  if (!isJudged(picture) && !picture.error) enqueue(picture, true);
}

export function removePictures(pictures) {
  for (const picture of pictures) forget(picture);
  state.pictures = state.pictures.filter((picture) => !pictures.includes(picture));
  if (pictures.includes(state.selected)) state.selected = state.pictures[0] ?? null;
  tell("pictures", "selection");
}

// The one that is looked at comes first.
export function judgeAll() {
  queue.cancel();
  for (const id of ["policyError", "viewError"]) say(id, "");
  tell("policy-error");
  for (const picture of [state.selected, ...state.pictures]) {
    if (picture && !queue.has(picture.id)) enqueue(picture);
  }
}

export const judgeSoon = later(250, judgeAll);

function enqueue(picture, first) {
  if (!isJudged(picture)) queue.add(picture.id, (signal) => judge(picture, signal), first);
}

async function judge(picture, signal) {
  const [view, evidence, policy] = [viewNow(), evidenceNow(), openPolicy(state.policy)];
  try {
    const { answer, ...came } = await askAbout(picture, "moderate", view, { policy }, signal);
    const scores = {};
    for (const { category, ...reason } of answer.reasons) scores[category] = reason;
    picture.judged.set(view, { evidence, scores, ...came });
    picture.error = "";
  } catch (error) {
    if (signal.aborted) throw error;
    place(error, picture);
  }
  tell("scores");
}

// Asks by the embedding, where an earlier answer gave it: an edited label then costs no picture.
export async function askAbout(picture, path, view, fields, signal) {
  const embedding = picture.views.get(view)?.embedding;
  if (embedding) {
    try {
      return await ask(path, { fields: { ...fields, embedding }, signal });
    } catch (error) {
      if (!error.message.startsWith("embedding")) throw error;
      picture.views.delete(view); // another model is running now
    }
  }
  // A picture in motion has embeddings of several frames only where a policy looked at it.
  const keep = path === "moderate" ? { return_embedding: "true" } : {};
  const asked = await ask(path, { picture: picture.file, fields: { ...fields, ...keep, view }, signal });
  if (asked.answer.embedding) {
    const { embedding: kept, view: coverage, frames } = asked.answer;
    picture.views.set(view, { embedding: kept, coverage, frames });
  }
  return asked;
}

// Asks whether the policy, as it stands and not opened, is valid; says what is wrong with it where it is not.
export async function isValid() {
  try {
    await ask("moderate", { picture: await drawn(el("canvas", { width: 8, height: 8 })), fields: { policy: state.policy } });
    return true;
  } catch (error) {
    place(error, null);
    return false;
  }
}

// Shows an error beside what it is about.
export function place(error, picture) {
  const ofPicture = /^(images?|image_data|embedding|The (body|form|picture))\b/.test(error.message);
  if (error.status === 401 || error.status === 403) {
    queue.cancel();
    state.refusal = error;
    tell("token");
  } else if (picture && (ofPicture || !error.status || error.status >= 429)) {
    picture.error = error.message;
  } else if (error.message.startsWith("view")) {
    say("viewError", error.message);
  } else {
    // One mistake in the policy would be answered once for each picture.
    queue.cancel();
    state.mistake = { detail: error.message, ...placeOf(error.message, state.policy) };
    tell("policy-mistake");
  }
}
