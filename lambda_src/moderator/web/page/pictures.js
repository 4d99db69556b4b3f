// Reads files into pictures: small enough to send, with a thumbnail.

import { el } from "./dom.js";

// Every model's input is far smaller, so only bytes are lost.
const LONGER = 1600;
const SHORTER = 640;
const MOST_BYTES = 3_000_000;
const THUMBNAIL = 240;

let made = 0;

export const newPicture = (file, name = file.name || "pasted picture") => ({
  id: (made += 1), name, file, note: "", views: new Map(), judged: new Map(), error: "",
});

// Whoever asks first has it read, and all wait for that: a judgement that is begun anew must not go on without.
export const readPicture = (picture) => (picture.reading ??= read(picture));

// A file that this browser cannot show is left as it is: the service may read it.
async function read(picture) {
  const { file } = picture;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return;
  const { width, height } = bitmap;
  const scale = Math.min(1, Math.max(LONGER / Math.max(width, height), SHORTER / Math.min(width, height)));
  Object.assign(picture, { width, height });
  if ((scale < 1 || file.size > MOST_BYTES) && !(await isAnimated(file))) {
    picture.file = await drawn(bitmap, scale);
    picture.width = Math.round(width * scale);
    picture.height = Math.round(height * scale);
    picture.note = `Scaled here from ${width} × ${height} before it was sent.`;
  }
  picture.url = URL.createObjectURL(picture.file);
  const small = THUMBNAIL / Math.max(width, height);
  picture.thumbnail = small < 1 ? URL.createObjectURL(await drawn(bitmap, small)) : picture.url;
  bitmap.close();
}

export function forget(picture) {
  for (const url of [picture.url, picture.thumbnail]) if (url) URL.revokeObjectURL(url);
}

export async function drawn(source, scale = 1) {
  const width = Math.max(1, Math.round((source.videoWidth ?? source.width) * scale));
  const height = Math.max(1, Math.round((source.videoHeight ?? source.height) * scale));
  const canvas = el("canvas", { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // as the service lays transparency
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}

// Scaling would leave the first frame only.
async function isAnimated(file) {
  if (file.type === "image/gif") return true;
  return file.type === "image/webp" && (await file.slice(0, 64).text()).includes("ANIM");
}

// What the demo model knows; in the second a square stands where the centre does not reach.
export async function examples() {
  const wanted = [
    ["red circle", 320, "#ded6c6", "#d61c24", (c) => c.arc(160, 120, 78, 0, 7)],
    ["blue square at the edge", 640, "#e6e2d3", "#224cd4", (c) => c.rect(26, 50, 140, 140)],
    ["green triangle", 320, "#e4d9e6", "#20983c", (c) => [[160, 38], [240, 180], [80, 180]].forEach((point) => c.lineTo(...point))],
  ];
  return Promise.all(
    wanted.map(async ([name, width, ground, colour, draw]) => {
      const canvas = el("canvas", { width, height: 240 });
      const context = canvas.getContext("2d");
      context.fillStyle = ground;
      context.fillRect(0, 0, width, 240);
      context.fillStyle = colour;
      draw(context);
      context.fill();
      return new File([await new Promise((done) => canvas.toBlob(done))], `${name}.png`, { type: "image/png" });
    }),
  );
}
