// A list of labels as chips: type and press Enter; a click on one takes it back to be typed again.

import { el } from "./dom.js";

let boxes = 0;

export function chips({ name, values, changed, typed = () => {} }) {
  const id = `chips-${(boxes += 1)}`;
  const list = el("ul.chips", { "aria-label": name });
  const error = el("p.error", { role: "alert", id: `${id}-error`, hidden: true });
  const input = el("input", {
    id, autocomplete: "off", placeholder: "Type and press Enter",
    "aria-describedby": error.id, onkeydown: keyed, oninput: () => typed(draft()), onchange: take,
  });
  const draft = () => input.value.trim();
  const box = el("div", { class: "chip-box", onclick: (event) => event.target === event.currentTarget && input.focus() }, list, input);
  const element = el("div.fields", el("label", { for: id }, name), box, error);

  function draw() {
    list.replaceChildren(
      ...values.map((value, place) =>
        el("li",
          el("button", { onclick: () => change(place) }, value),
          el("button", { class: "remove", "aria-label": `Remove ${value}`, onclick: () => remove(place) }, "×"))),
    );
    list.hidden = !values.length;
  }

  function take() {
    const text = draft();
    input.value = "";
    if (text && !values.includes(text)) put([...values, text]);
    else typed("");
  }

  function put(next) {
    values = next;
    draw();
    changed(values);
  }

  function remove(place) {
    put(values.filter((_, at) => at !== place));
    input.focus();
  }

  function change(place) {
    const text = values[place];
    take();
    input.value = text;
    remove(values.indexOf(text));
  }

  function keyed(event) {
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      take();
    }
  }

  draw();
  return {
    element,
    input,
    set(next) {
      values = next;
      draw();
    },
    say(text) {
      error.textContent = text;
      error.hidden = !text;
      input.setAttribute("aria-invalid", String(Boolean(text)));
    },
  };
}
