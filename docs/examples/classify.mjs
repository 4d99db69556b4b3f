// Which of these labels fits the picture best?   node classify.mjs picture.png
// In a browser, fetch() takes a File of an <input> as the body just so: pages on localhost may ask the local server.
import { readFile } from "node:fs/promises";

const url = process.env.MODERATOR_URL ?? "http://127.0.0.1:8080";
const labels = ["a red circle", "a blue square", "a green star"];

const query = new URLSearchParams(labels.map((label) => ["label", label]));
const response = await fetch(`${url}/classify?${query}`, {
  method: "POST",
  headers: { "Content-Type": "application/octet-stream" },
  body: await readFile(process.argv[2]),
});
const answer = await response.json();
if (!response.ok) throw new Error(answer.detail); // one sentence that says what would be right

const [best] = Object.entries(answer.result).sort(([, a], [, b]) => b - a);
console.log(`${best[0]}: ${best[1].toFixed(4)}`);
