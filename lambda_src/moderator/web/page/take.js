// What can be taken away: the policy as a file, the requests as commands, and a link.

import { $, el, later, say } from "./dom.js";
import { isValid } from "./judging.js";
import { labelsField } from "./labels.js";
import { toFragment } from "./link.js";
import { same } from "./policy.js";
import { hasToken, url } from "./service.js";
import { on, state, tell, viewNow } from "./state.js";

export function makeTake() {
  $.name.addEventListener("input", (event) => {
    state.name = event.target.value;
    tell("edited");
  });
  $.save.addEventListener("click", save);
  $.link.addEventListener("click", async () => {
    await keep();
    copy(location.href);
  });
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", () => copy($[button.dataset.copies].textContent));
  }
  on("policy thresholds labels view edited token-used", showTake);
  on("policy thresholds labels view edited", later(200, keep));
}

const json = () => `${JSON.stringify(state.policy, null, 2)}\n`;
const fileName = () => state.name.trim().replace(/[^\w-]+/g, "-") || "policy";

// Only the address changes: the page stays, and no step back is added.
async function keep() {
  history.replaceState(null, "", await toFragment());
}

async function save() {
  if (!(await isValid())) return say("took", "The policy is not valid yet: it was not saved.");
  const link = el("a", { href: URL.createObjectURL(new Blob([json()], { type: "application/json" })), download: `${fileName()}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  say("took", `Saved as ${link.download}: it can go into lambda_src/policies/ as it is.`);
}

async function copy(text) {
  const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
  say("took", done ? "Copied." : "This browser blocks copying: select the text.");
}

function showTake() {
  $.json.textContent = json();
  if (document.activeElement !== $.name) $.name.value = state.name;
  const token = hasToken() ? ' -H "Authorization: Bearer $TOKEN"' : "";
  const configured = state.policies.get(state.base);
  const policy = configured && same(configured, state.policy) ? state.base : JSON.stringify(state.policy);
  const view = state.view ? ` -F view=${viewNow()}` : "";
  const start = (path) => `curl -s ${quoted(url(path))}${token} -F image=@picture.jpg`;
  $.curlModerate.textContent = `${start("moderate")} --form-string ${quoted(`policy=${policy}`)}${view}`;
  const labels = state.labelSet
    ? `-F ${quoted(`label_set=${state.labelSet}`)}`
    : `--form-string ${quoted(`labels=${JSON.stringify(labelsField(state.labels))}`)}`;
  $.curlClassify.textContent = `${start("classify")} ${labels} -F view=${viewNow()}`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
