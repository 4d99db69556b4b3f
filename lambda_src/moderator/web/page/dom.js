// Elements, made without markup: texts stay texts.

// $.stage is the element with the id stage.
export const $ = new Proxy({}, { get: (_, id) => document.getElementById(id) });

// el("p.hint.small", { title: "…" }, "a text", another): the properties may be left out.
export function el(start, ...rest) {
  const [name, ...classes] = start.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  if (name === "button") element.type = "button";
  return fill(element, rest);
}

export function svg(name, ...rest) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), rest);
}

// An action's shape; its word stands beside it.
export function shape(action) {
  return svg("svg", { class: `shape ${action}`, "aria-hidden": "true" }, svg("use", { href: `#${action}` }));
}

export function say(id, text) {
  const place = $[id];
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

export const short = (number) => (number > 0 && number < 0.005 ? "<0.01" : number.toFixed(2));

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export function later(milliseconds, act) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}

function fill(element, [first, ...rest]) {
  const isPlain = first?.constructor === Object;
  for (const [name, value] of Object.entries(isPlain ? first : {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...(isPlain ? rest : [first, ...rest]).filter((child) => child != null));
  return element;
}
