// The part of a policy's arithmetic that is done here: thresholds turn the service's scores into actions.

export const ACTIONS = ["allow", "review", "block"];
export const WORDS = { allow: "Allow", review: "Review", block: "Block" };

export function actionOf({ review, block }, score) {
  if (block != null && score >= block) return "block";
  if (review != null && score >= review) return "review";
  return "allow";
}

// The worst action of any category, and why; scores: { category: { score, label, ... } }. None while one has no score:
// what was never judged is not allowed.
export function verdictOf(policy, scores) {
  const names = Object.keys(policy.categories);
  if (!names.length || !names.every((name) => name in scores)) return null;
  const reasons = [];
  for (const [name, category] of Object.entries(policy.categories)) {
    const found = scores[name];
    const action = actionOf(category, found.score);
    if (action !== "allow") reasons.push({ ...found, name, action, threshold: category[action] });
  }
  // What could not be seen to its end is not simply allowed.
  const action = policy.on_error ?? "review";
  if ("error" in scores && action !== "allow") reasons.push({ name: "error", action });
  reasons.sort((a, b) => ACTIONS.indexOf(b.action) - ACTIONS.indexOf(a.action) || b.score - a.score);
  return { action: reasons[0]?.action ?? "allow", reasons };
}

// The same policy with thresholds at 0: every category then answers with its score and the label that fired most, and
// any thresholds can be tried on the answer.
// Thresholds that are wrong stay as they are: the service says what is wrong with them.
export function openPolicy({ neutral, frames, calibration, categories }) {
  const sound = ({ review, block }) => (review ?? block) >= 0 && (review ?? 0) <= (block ?? 1) && (block ?? review) <= 1;
  const open = Object.entries(categories).map(([name, category]) => {
    const { labels, against } = category;
    return [name, sound(category) ? { labels, against, review: 0 } : category];
  });
  return { neutral, frames, calibration, categories: Object.fromEntries(open) };
}

export const copyOf = (policy) => JSON.parse(JSON.stringify(policy));
export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// The order matters to whoever reads the file.
export function rename(policy, from, to) {
  const renamed = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name === from ? to : name, value]));
  policy.categories = renamed(policy.categories);
  if (policy.calibration) policy.calibration.categories = renamed(policy.calibration.categories);
}

// With other labels, what was measured for the old ones no longer holds.
export function forgetCalibration(policy, names) {
  const scales = policy.calibration?.categories ?? {};
  const forgotten = names.filter((name) => name in scales);
  for (const name of forgotten) delete scales[name];
  if (policy.calibration && !Object.keys(scales).length) delete policy.calibration;
  return forgotten.length > 0;
}

// Which category and field the service's sentence is about: "policy.categories['hate symbols'].labels[0] is ...".
export function placeOf(detail) {
  const [, plain, , quoted, field = "name"] = detail.match(/^policy\.categories(?:\.(\w+)|\[(['"])(.*?)\2\])(?:\.(\w+))?/) ?? [];
  const name = plain ?? quoted;
  return { name, field: name ? field : detail.match(/^policy\.(\w+)/)?.[1] };
}
