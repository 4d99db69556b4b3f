// Elements, made without markup: texts stay texts.

export const byId = (id) => document.getElementById(id);

export function el(name, properties = {}, ...children) {
  return fill(document.createElement(name), properties, children);
}

export function svg(name, properties = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

// An action's shape; its word stands beside it.
export function shape(action) {
  return svg("svg", { class: `shape ${action}`, "aria-hidden": "true" }, svg("use", { href: `#${action}` }));
}

export function say(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

export const percent = (share) => `${Math.round(share * 100)} %`;
export const short = (number) => (number > 0 && number < 0.005 ? "<0.01" : number.toFixed(2));

export function later(milliseconds, act) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}
