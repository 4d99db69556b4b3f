// Frames of the camera or of a video file, every few seconds, judged as they come.

import { $, el, pause, say } from "./dom.js";
import { addPictures, queue, removePictures, select } from "./judging.js";
import { drawn } from "./pictures.js";
import { state } from "./state.js";

const MOST_FRAMES = 200;
const MOST_WAITING = 4;

let stop = null; // of what is running

export function makeFilm() {
  $.camera.addEventListener("click", () => (stop ? stop() : camera()));
}

export async function playFile(file) {
  const video = showFilm(`Looking at ${file.name}`);
  video.src = URL.createObjectURL(file);
  await run(video, file.name, async (take, every) => {
    await event(video, "loadeddata");
    if (video.duration === Infinity) await seek(video, 1e9); // a browser's own recordings have none
    for (let at = 0; at < video.duration && stop; at += every()) {
      await seek(video, at);
      await take(at);
    }
  });
  URL.revokeObjectURL(video.src);
}

async function camera() {
  const stream = await navigator.mediaDevices?.getUserMedia({ video: { facingMode: "environment" } }).catch(() => null);
  if (!stream) return say("pictureError", "There is no camera, or this page may not use it.");
  const video = showFilm("The camera");
  video.srcObject = stream;
  $.camera.textContent = "Stop";
  await run(video, "camera", async (take, every) => {
    await video.play();
    for (const began = performance.now(); stop; ) {
      await take((performance.now() - began) / 1000);
      await pause(every() * 1000);
    }
  });
  for (const track of stream.getTracks()) track.stop();
}

async function run(video, name, look) {
  stop?.();
  const mine = () => {
    if (stop === mine) stop = null;
  };
  stop = mine;
  const every = () => Math.max(0.2, $.every.valueAsNumber || 2);
  const take = async (at) => {
    // The service sets the pace.
    while (stop === mine && queue.left() >= MOST_WAITING) await pause(50);
    if (stop !== mine) return;
    const [picture] = addPictures([await drawn(video)], `${name}, ${at.toFixed(1)} s`);
    picture.isFrame = true;
    select(picture);
    const frames = state.pictures.filter(({ isFrame }) => isFrame);
    if (frames.length > MOST_FRAMES) removePictures(frames.slice(0, frames.length - MOST_FRAMES));
  };
  try {
    await look(take, every);
  } catch {
    say("pictureError", `${name} cannot be played in this browser.`);
  }
  if (stop === mine || !stop) {
    stop = null;
    $.film.hidden = true;
    $.film.replaceChildren();
    $.camera.textContent = "Camera";
  }
}

function showFilm(words) {
  const video = el("video", { muted: true, playsinline: true, preload: "auto", "aria-label": words });
  video.muted = true;
  const every = el("input", { id: "every", type: "number", min: 0.2, step: "any", value: $.every?.value ?? 2 });
  const label = el("label.field", "A frame every ", every, " s");
  $.film.replaceChildren(video, el("div.bar", el("b", words), label, el("button", { onclick: () => stop?.() }, "Stop")));
  $.film.hidden = false;
  return video;
}

function seek(video, at) {
  const done = event(video, "seeked");
  video.currentTime = at;
  return done;
}

function event(target, name) {
  return new Promise((done, fail) => {
    target.addEventListener(name, done, { once: true });
    target.addEventListener("error", fail, { once: true });
  });
}
