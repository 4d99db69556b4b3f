"""One calibration from the data to the policy's file and its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moderator.json_file import read_json
from moderator.policy.file import read_inline
from moderator.policy.policy import Policy
from tools.calibration.calibrate import Calibration, calibrate
from tools.calibration.data import DataError, Labelled
from tools.calibration.earlier import for_model, used
from tools.calibration.embed import Embedder, Pictures
from tools.calibration.evidence import Similarities
from tools.calibration.figures import figures
from tools.calibration.fit import Method
from tools.calibration.outcome import outcome
from tools.calibration.outputs import check_report
from tools.calibration.policy_file import calibrated_content, written
from tools.calibration.report import write_report
from tools.calibration.target import check_free, earlier_date, policy_path
from tools.calibration.thresholds import Targets
from tools.core import Core
from tools.pages.thumbnails import thumbnails
from tools.whole_file import write_whole


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to calibrate, and for which targets."""

    policy: str
    name: str  # of the policy that is written
    targets: Targets
    method: Method
    date: str
    policies_dir: Path  # where it is written
    report: Path  # the folder of the report
    replace: bool = False  # write over a policy that no calibration wrote

    @property
    def path(self) -> Path:
        """The file that is written."""
        return policy_path(self.policies_dir, self.name)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What was written."""

    policy_file: Path
    calibration: Calibration
    figures: dict[str, Any]


def policy_before(core: Core, name: str) -> tuple[dict[str, Any], Policy]:
    """Return a policy's JSON, and the policy as it would run with this model: without another model's calibration."""
    core.policy(name)
    content: dict[str, Any] = read_json(core.settings.policies_dir / f"{name}.json")
    return content, read(core, for_model(content, core.model), name)


def read(core: Core, content: Mapping[str, Any], name: str) -> Policy:
    """Check a policy's JSON as the service would."""
    policy = read_inline(content, known=core.policies.keys(), max_labels=core.settings.max_labels)
    return replace(policy, name=name)


def run(core: Core, labelled: Labelled, store: Path, request: Request, advance: Callable[[], None]) -> Done:
    """Embed, calibrate, and write.

    Raises:
        DataError: the policy's file or the report may not be written, no picture can be read, or no category can be
            calibrated.
        InvalidField: a label is longer than the model's context.
    """
    check_free(request.path, replace=request.replace)
    check_report(request.report)
    content, before = policy_before(core, request.policy)
    pictures = Embedder(core, before, store).embed(labelled, advance)

    def small(paths: Iterable[str]) -> Mapping[str, str]:
        return thumbnails(paths, labelled.folder, core.model, core.settings)

    return calibrate_and_write(core, content, before, pictures, request, small)


def calibrate_and_write(
    core: Core,
    content: Mapping[str, Any],
    before: Policy,
    pictures: Pictures,
    request: Request,
    small: Callable[[Iterable[str]], Mapping[str, str]],
) -> Done:
    """Calibrate on pictures that are already embedded, and write the policy and the report.

    Raises:
        DataError: the policy's file or the report may not be written, or no category can be calibrated.
    """
    check_free(request.path, replace=request.replace)
    check_report(request.report)
    similarities = Similarities.of(before, pictures.rows, pictures.frames, core.model.logit_scale)
    wanted = {category.name: used(content, category.name) for category in before.categories}
    calibration = calibrate(
        before, wanted, similarities, pictures.categories, pictures.groups, request.targets, request.method
    )
    if not calibration.done:
        raise DataError(
            "Nothing can be calibrated.\n" + "\n".join(f"{one.category.name}: {one.why}" for one in calibration.refused)
        )

    def dated(date: str) -> dict[str, Any]:
        return calibrated_content(
            content, request.name, calibration, core.model, pictures, request.targets, request.method, date
        )

    new = dated(request.date)
    new = dated(earlier_date(request.path, new) or request.date)
    after = read(core, new, request.name)
    shown = figures(
        before=before,
        after=after,
        outcomes=(outcome(before, similarities), outcome(after, similarities)),
        calibration=calibration,
        pictures=pictures,
        made=new["calibration"],
    )
    # The policy last: where there is one, there is its report.
    write_report(request.report, json.loads(json.dumps(shown)), pictures, small)
    write_whole(request.path, written(new))
    return Done(policy_file=request.path, calibration=calibration, figures=shown)
