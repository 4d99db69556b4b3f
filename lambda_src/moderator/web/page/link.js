// The page's state as a fragment, to be sent to a colleague: the policy, the labels and the view, but no picture.

import { copyOf, same } from "./policy.js";
import { state } from "./state.js";

const START = "#s=";

export async function toFragment() {
  const { base, name, policy, view, labelSet, labels } = state;
  const configured = state.policies.get(base);
  const kept = {
    ...(configured && same(configured, policy) ? { base } : { base, name, policy }),
    ...(view && { view }),
    ...(labelSet ? { labelSet } : { labels: labels.map(({ text, category }) => (category ? [text, category] : [text])) }),
  };
  const bytes = await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(JSON.stringify(kept)));
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return START + btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

// True where the fragment held a state.
export async function readFragment(fragment) {
  if (!fragment.startsWith(START)) return false;
  const text = atob(fragment.slice(START.length).replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = await through(new DecompressionStream("deflate-raw"), Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
  const kept = JSON.parse(new TextDecoder().decode(bytes));
  const policy = copyOf(kept.policy ?? state.policies.get(kept.base)); // which fails if that name is unknown here
  const { base, name = base, view = "", labelSet } = kept;
  for (const { labels } of Object.values(policy.categories)) labels.map(String);
  const labels = kept.labels?.map(([label, category]) => ({ text: `${label}`, category })) ?? state.labelSets.get(labelSet) ?? [];
  // All of it or nothing.
  Object.assign(state, {
    policy,
    base: state.policies.has(base) ? base : "",
    name,
    view: ["center", "squash", "pad", "tiles"].includes(view) ? view : "",
    labelSet: state.labelSets.has(labelSet) ? labelSet : "",
    labels,
  });
  return true;
}

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}
