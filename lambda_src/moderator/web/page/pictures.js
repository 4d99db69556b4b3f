// Reads files into pictures: small enough to send, with a thumbnail.

import { el } from "./dom.js";

// No model's input is larger than a fraction of this, so that nothing is lost but bytes.
const LONGER = 1600;
const SHORTER = 640;
const MOST_BYTES = 3_000_000;
const THUMBNAIL = 240;

let count = 0;

export async function readPicture(file, name = file.name || "pasted picture") {
  const picture = { id: (count += 1), name, file, note: "", url: null, thumbnail: null, views: new Map(), judged: new Map(), error: "" };
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return picture; // of a kind that this browser cannot show, or broken: the service says which
  const { width, height } = bitmap;
  const scale = Math.min(1, Math.max(LONGER / Math.max(width, height), SHORTER / Math.min(width, height)));
  if ((scale < 1 || file.size > MOST_BYTES) && !(await isAnimated(file))) {
    picture.file = await drawn(bitmap, scale);
    picture.width = Math.round(width * scale);
    picture.height = Math.round(height * scale);
    const sizes = scale < 1 ? `${width} × ${height} to ${picture.width} × ${picture.height}` : "fewer bytes";
    picture.note = `Scaled here from ${sizes} before it was sent.`.replace("from fewer", "to fewer");
  } else {
    Object.assign(picture, { width, height });
  }
  picture.url = URL.createObjectURL(picture.file);
  picture.thumbnail = URL.createObjectURL(await drawn(bitmap, Math.min(1, THUMBNAIL / Math.min(width, height))));
  bitmap.close();
  return picture;
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
  const circle = (c) => (c.ellipse(160, 120, 78, 78, 0, 0, 7), c.fill());
  const star = (c) => {
    for (let i = 0; i < 10; i += 1) {
      const [angle, radius] = [(i * Math.PI) / 5, i % 2 ? 36 : 88];
      c.lineTo(160 + radius * Math.sin(angle), 125 - radius * Math.cos(angle));
    }
    c.fill();
  };
  const wanted = [
    ["red circle.png", 320, 240, "#ded6c6", "#d61c24", circle],
    ["blue square at the edge.png", 640, 240, "#e6e2d3", "#224cd4", (c) => c.fillRect(26, 50, 140, 140)],
    ["green star.png", 320, 240, "#e4d9e6", "#20983c", star],
  ];
  return Promise.all(
    wanted.map(async ([name, width, height, ground, colour, draw]) => {
      const canvas = el("canvas", { width, height });
      const context = canvas.getContext("2d");
      context.fillStyle = ground;
      context.fillRect(0, 0, width, height);
      context.fillStyle = colour;
      context.beginPath();
      draw(context);
      return new File([await new Promise((done) => canvas.toBlob(done))], name, { type: "image/png" });
    }),
  );
}
