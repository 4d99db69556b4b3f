// Has pictures judged by the policy as it is now, each once for each view and set of labels.

import { el, later } from "./dom.js";
import { drawn, forget, newPicture, readPicture } from "./pictures.js";
import { openPolicy, placeOf, verdictOf } from "./policy.js";
import { makeQueue } from "./queue.js";
import { ask } from "./service.js";
import { on, state, tell, viewNow } from "./state.js";

export const queue = makeQueue(4, () => tell("progress"));

export const found = (picture) => picture?.judged.get(viewNow());
export const verdictNow = (picture) => found(picture) && verdictOf(state.policy, found(picture).scores);
export const isJudged = (picture) => found(picture)?.evidence === evidence;

// What the scores depend on. Registered before the listeners that ask for it.
let evidence = "";
on("policy thresholds", () => {
  evidence = JSON.stringify(openPolicy(state.policy));
});

export function addPictures(files, name) {
  const pictures = files.map((file) => newPicture(file, name));
  state.pictures.push(...pictures);
  state.selected ??= pictures[0];
  tell("pictures", "selection");
  for (const picture of pictures) enqueue(picture);
  return pictures;
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
  for (const picture of [state.selected, ...state.pictures]) {
    if (picture && !queue.has(picture.id)) enqueue(picture);
  }
}

export const judgeSoon = later(250, judgeAll);

function enqueue(picture, first) {
  if (!isJudged(picture)) queue.add(picture.id, (signal) => judge(picture, signal), first);
}

async function judge(picture, signal) {
  await readPicture(picture);
  signal.throwIfAborted();
  if (picture === state.selected) tell("selection");
  const [view, asked] = [viewNow(), evidence];
  try {
    const { answer, came } = await askAbout(picture, "moderate", view, { policy: JSON.parse(asked) }, signal);
    const scores = {};
    for (const { category, score, ...reason } of answer.reasons) {
      // `error` has no score: not all frames could be seen.
      scores[category] = { ...reason, score: score ?? 0 };
    }
    picture.judged.set(view, { evidence: asked, scores, came });
    picture.error = "";
  } catch (error) {
    if (signal.aborted) throw error;
    place(error, picture);
  }
  if (picture === state.selected) tell("scores");
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
  // Of an animation, only a policy's answer has the embeddings of several frames.
  const keep = path === "moderate" ? { return_embedding: "true" } : {};
  const asked = await ask(path, { picture: picture.file, fields: { ...fields, ...keep, view }, signal });
  if (asked.answer.embedding) {
    const { embedding: kept, view: coverage, frames } = asked.answer;
    picture.views.set(view, { embedding: kept, coverage, frames });
  }
  return asked;
}

// Asks whether the policy is valid as it is now; says what is wrong with it if not.
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
  const ofPolicy = /^(policy|The label)\b/.test(error.message);
  if (error.status === 401 || error.status === 403) {
    queue.cancel();
    state.refusal = error;
    tell("token");
  } else if (picture && !ofPolicy) {
    picture.error = error.message;
  } else {
    // A mistake in the policy comes back once for each picture.
    queue.cancel();
    state.mistake = { detail: error.message, ...placeOf(error.message) };
    tell("policy-mistake");
  }
}
