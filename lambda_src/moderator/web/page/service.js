// Asks the service that this page came from, and nobody else.

import { pause } from "./dom.js";

const base = location.pathname.replace(/(\/try)?\/*$/, "/");
const MOST_TRIES = 6;
let token = sessionStorage.getItem("token") ?? "";

export const url = (path) => new URL(base + path, location.href).href;
export const hasToken = () => token !== "";

export function useToken(text) {
  token = text;
  sessionStorage.setItem("token", text);
}

export class Refused extends Error {
  constructor(detail, status) {
    super(detail);
    this.status = status;
  }
}

// Fields go as JSON, or beside a picture as a form.
export async function ask(path, { fields, picture, signal } = {}) {
  const request = { signal, headers: token ? { Authorization: `Bearer ${token}` } : {} };
  if (picture) {
    request.body = new FormData();
    request.body.append("image", picture, "image");
    for (const [name, value] of Object.entries(fields)) {
      request.body.append(name, typeof value === "object" ? JSON.stringify(value) : value);
    }
  } else if (fields) {
    request.body = JSON.stringify(fields);
    request.headers["Content-Type"] = "application/json";
  }
  if (request.body) request.method = "POST";
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(base + path, request).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new Refused("The service cannot be reached.", 0);
    });
    if (response.ok) return { answer: await response.json(), came: cameAbout(response.headers) };
    // Too much at once, or labels still being embedded: what is done is kept, so ask again.
    if ([429, 503].includes(response.status) && tries < MOST_TRIES) {
      await pause(1000 * (response.headers.get("Retry-After") ?? tries));
      continue;
    }
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem.detail ?? problem.message ?? `The service answered ${response.status}.`, response.status);
  }
}

// How long it took, and from which tier the labels came.
function cameAbout(headers) {
  const timing = headers.get("Server-Timing")?.match(/total;dur=([\d.]+)/);
  const tiers = [...(headers.get("X-Label-Cache") ?? "").matchAll(/(\w+)=([1-9]\d*)/g)].map(([, tier, count]) => `${count} ${tier}`);
  return `${Number(timing?.[1] ?? 0).toFixed(1)} ms · labels: ${tiers.join(", ")}`;
}

