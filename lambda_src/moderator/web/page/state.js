// What the page knows, and who wants to hear when it changes.

export const state = {
  policies: new Map(), // name -> the policy's JSON, as configured
  labelSets: new Map(), // name -> [{ text, category }]
  demo: false,
  base: "", // the configured policy that this one came from; empty for one of the visitor's own
  name: "", // of the file
  policy: { categories: {} },
  view: "", // empty: the policy's
  labelSet: "",
  labels: [], // { text, category }
  pictures: [],
  selected: null,
};

const listeners = {};

export function on(names, listener) {
  for (const name of names.split(" ")) (listeners[name] ??= []).push(listener);
}

export function tell(...names) {
  const told = new Set(names.flatMap((name) => listeners[name] ?? []));
  for (const listener of told) listener();
}

export const viewNow = () => state.view || state.policy.view || "tiles";
