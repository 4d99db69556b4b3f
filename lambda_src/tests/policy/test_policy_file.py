"""Policies in files and in requests: what is read, and what is refused with which sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moderator.errors import ConfigurationError, InvalidField, TooMuch
from moderator.policy import form
from moderator.policy.file import MOST_CATEGORIES, check_calibration, read_inline, read_policies
from moderator.policy.form import PolicyObject
from moderator.policy.mistake import pattern
from moderator.policy.policy import Frames, ModelName, Policy
from support.policies import category, content, policy

CALIBRATION = {"model": {"name": "a", "pretrained": "b"}, "categories": {"weapons": {"scale": 1.3, "offset": -0.4}}}


def calibration(**fields: Any) -> dict[str, Any]:
    return content(calibration=CALIBRATION | fields)


def scaled(**fields: Any) -> dict[str, Any]:
    return calibration(categories={"weapons": {"scale": 1.0, "offset": 0.0} | fields})


def write(folder: Path, name: str, given: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(given if isinstance(given, str) else json.dumps(given), encoding="utf-8")
    return path


def read(folder: Path) -> dict[str, Policy]:
    return dict(read_policies(folder, max_labels=1000))


# The policy, its field at fault, and the rest of the sentence. The same in files and in requests.
MISTAKES: list[tuple[Any, str, str]] = [
    # Shape.
    ([1], "", "is a list: it must be an object with categories"),
    (content(name="mine"), "name", "is not a field: the fields of a policy are description, view, frames, on_error, "
     "sample, neutral, categories, candidate, calibration"),
    (content(description=1), "description", "is 1: it must be a text"),
    (content(description="x" * 2001), "description", "has 2,001 characters: at most 2,000 are allowed"),
    (content(view="centre"), "view", "is 'centre': it must be center, squash, pad or tiles"),
    (content(view=None), "view", "is null: it must be center, squash, pad or tiles"),
    (content(on_error="ignore"), "on_error", "is 'ignore': it must be allow, review or block"),
    (content(sample=1.5), "sample", "is 1.5: it must be a number from 0 to 1"),
    (content(sample="0.1"), "sample", "is '0.1': it must be a number from 0 to 1"),
    (content(candidate=""), "candidate", "is '': it must be the name of another policy"),
    # Frames.
    (content(frames=8), "frames", "is 8: it must be an object with most, at_least and every"),
    (content(frames={"most": 0}), "frames.most", "is 0: it must be a whole number from 1 to 64"),
    (content(frames={"most": 65}), "frames.most", "is 65: it must be a whole number from 1 to 64"),
    (content(frames={"most": 8.0}), "frames.most", "is 8.0: it must be a whole number from 1 to 64"),
    (content(frames={"most": True}), "frames.most", "is true: it must be a whole number from 1 to 64"),
    (content(frames={"at_least": 0}), "frames.at_least", "is 0: it must be a whole number from 1 to 64"),
    (content(frames={"at_least": 9}), "frames.at_least", "is 9: it must be no more than frames.most, 8"),
    (content(frames={"every": -1}), "frames.every", "is -1: it must be a number of seconds from 0 to 3600"),
    (content(frames={"each": 1}), "frames.each", "is not a field: the fields of frames are most, at_least, every"),
    # Labels.
    (content(neutral="a street"), "neutral", "is 'a street': it must be a list of labels"),
    (content(neutral=["a street", ""]), "neutral[1]", "is '': it must be a text that is not empty"),
    (category(labels=...), "categories.weapons.labels", "is missing: it must be a list of at least one label"),
    (category(labels=[]), "categories.weapons.labels", "is an empty list: it must be a list of at least one label"),
    (category(labels={"a gun": 1}), "categories.weapons.labels",
     "is an object: it must be a list of at least one label"),
    (category(labels=[1]), "categories.weapons.labels[0]", "is 1: it must be a text that is not empty"),
    (category(labels=["a gun", " \n"]), "categories.weapons.labels[1]",
     "is ' \\n': it must be a text that is not empty"),
    (category(labels=["x" * 2001]), "categories.weapons.labels[0]", "has 2,001 characters: at most 2,000 are allowed"),
    (category(labels=["\ud83d"]), "categories.weapons.labels[0]",
     "has half a surrogate pair (such as \\ud83d alone): write whole characters"),
    (category(against="a camera"), "categories.weapons.against", "is 'a camera': it must be a list of labels"),
    (category(against=[None]), "categories.weapons.against[0]", "is null: it must be a text that is not empty"),
    (category(labels=["a gun", "a camera"]), "categories.weapons.labels[1]",
     "is 'a camera', which is in its against too: no label can be on both sides"),
    (category(labels=["a room"]), "categories.weapons.labels[0]",
     "is 'a room', which is in the policy's neutral too: no label can be on both sides"),
    ({"categories": {"weapons": {"labels": ["a gun"], "review": 0.5}}}, "categories.weapons",
     "has nothing to be compared with: give it against, or give the policy neutral"),
    # Thresholds.
    (category(review=1.01), "categories.weapons.review", "is 1.01: it must be a number from 0 to 1"),
    (category(review=-0.1), "categories.weapons.review", "is -0.1: it must be a number from 0 to 1"),
    (category(block=True), "categories.weapons.block", "is true: it must be a number from 0 to 1"),
    (category(block=10**400), "categories.weapons.block", f"is 1{'0' * 39}…: it must be a number from 0 to 1"),
    (category(block=0.5), "categories.weapons.block", "is 0.5: it must be no less than review, 0.6"),
    (category(review=..., block=...), "categories.weapons", "has neither review nor block: give at least one of them"),
    (category(review=None, block=None), "categories.weapons",
     "has neither review nor block: give at least one of them"),
    # Categories.
    ({}, "categories", "is missing: it must be an object {name: category} with at least one category"),
    (content(categories={}), "categories",
     "is an empty object: it must be an object {name: category} with at least one category"),
    (content(categories=["weapons"]), "categories",
     "is a list: it must be an object {name: category} with at least one category"),
    (content(categories={"weapons": ["a gun"]}), "categories.weapons",
     "is a list: it must be an object with labels, and review or block"),
    (content(categories={" ": content()["categories"]["weapons"]}), "categories",
     "has the name ' ': it must be a text of 1 to 100 characters"),
    (content(categories={"x" * 101: content()["categories"]["weapons"]}), "categories",
     f"has the name '{'x' * 40}…': it must be a text of 1 to 100 characters"),
    (content(categories={"\udc00": content()["categories"]["weapons"]}), "categories",
     "has half a surrogate pair (such as \\ud83d alone): write whole characters"),
    (content(categories={"hate symbols": {"labels": ["a flag"], "blok": 1}}), "categories['hate symbols'].blok",
     "is not a field: the fields of categories['hate symbols'] are labels, against, review, block, as"),
    (content(categories={"sample": content()["categories"]["weapons"]}), "categories.sample",
     "has a name that verdicts use themselves: choose one other than sample and error"),
    (category(**{"as": "violence"}), "categories.weapons.as",
     "is 'violence': it must be an object with openai and rekognition, or one of them"),
    (category(**{"as": {"azure": "Violence"}}), "categories.weapons.as.azure",
     "is not a field: the fields of categories.weapons.as are openai, rekognition"),
    (category(**{"as": {"openai": ""}}), "categories.weapons.as.openai",
     "is '': it must be a text of 1 to 100 characters"),
    (category(**{"as": {"rekognition": "Violence//Weapons"}}), "categories.weapons.as.rekognition",
     "is 'Violence//Weapons': it must be a name, with its parents before it: A/B/C at the longest"),
    # Calibration.
    (content(calibration=True), "calibration", "is true: it must be an object with model and categories"),
    (calibration(model="a"), "calibration.model", "is 'a': it must be an object with name and pretrained"),
    (calibration(model={"name": "a"}), "calibration.model.pretrained",
     "is missing: it must be a text that is not empty"),
    (calibration(model={"name": "a", "pretrained": "b", "tag": "c"}), "calibration.model.tag",
     "is not a field: the fields of calibration.model are name, pretrained"),
    (calibration(categories={}), "calibration.categories",
     "is an empty object: it must be an object {category: {scale, offset}} with at least one category"),
    (calibration(categories={"wepons": {"scale": 1, "offset": 0}}), "calibration.categories.wepons",
     "is not a category of this policy: its categories are weapons"),
    (calibration(categories={"weapons": 1.3}), "calibration.categories.weapons",
     "is 1.3: it must be an object with scale and offset"),
    (calibration(categories={"": {"scale": 1, "offset": 0}}), "calibration.categories",
     "has the name '': it must be the name of a category"),
    (scaled(scale=0), "calibration.categories.weapons.scale", "is 0: it must be a number above 0"),
    (scaled(scale=-1.3), "calibration.categories.weapons.scale", "is -1.3: it must be a number above 0"),
    (scaled(offset=None), "calibration.categories.weapons.offset", "is null: it must be a number"),
    (scaled(temperature=1), "calibration.categories.weapons.temperature",
     "is not a field: the fields of calibration.categories.weapons are scale, offset"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "field", "sentence"), MISTAKES)
class TestWhatIsRefused:
    def test_in_a_file_it_stops_the_start(self, given: Any, field: str, sentence: str, tmp_path: Path) -> None:
        path = write(tmp_path, "mine", given)
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path)
        assert str(caught.value) == f"{path}: {field or 'the policy'} {sentence}."

    def test_in_a_request_it_is_the_same_mistake(self, given: Any, field: str, sentence: str) -> None:
        with pytest.raises(InvalidField) as caught:
            policy(given)
        assert caught.value.detail == f"policy{'.' if field else ''}{field} {sentence}."
        caught.value.detail.encode("utf-8")


class TestFiles:
    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ("{", "is not JSON in UTF-8"),
            ('{"categories": {}, "categories": {}}', "'categories' is given twice"),
            ('{"sample": NaN}', "NaN is not a number"),
            ('{"sample": 1e999}', "sample is inf: it must be a number from 0 to 1"),
        ],
    )
    def test_what_is_not_json_names_the_file(self, given: str, sentence: str, tmp_path: Path) -> None:
        path = write(tmp_path, "mine", given)
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path)
        assert str(path) in str(caught.value)
        assert sentence in str(caught.value)

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="nowhere does not exist: set POLICIES_DIR"):
            read_policies(tmp_path / "nowhere", max_labels=5)

    def test_a_file_with_too_many_labels_says_how_many(self, tmp_path: Path) -> None:
        write(tmp_path, "mine", content())
        assert read_policies(tmp_path, max_labels=5)
        with pytest.raises(ConfigurationError, match=r"mine\.json: the policy has 5 different labels .* at most 4 are"):
            read_policies(tmp_path, max_labels=4)

    def test_policies_may_be_each_others_candidates(self, tmp_path: Path) -> None:
        write(tmp_path, "live", content(candidate="next"))
        write(tmp_path, "next", content(candidate="live"))
        assert [policy.candidate for policy in read(tmp_path).values()] == ["next", "live"]

    @pytest.mark.parametrize("candidate", ["nxt", "live"])
    def test_a_candidate_must_be_another_policy(self, candidate: str, tmp_path: Path) -> None:
        path = write(tmp_path, "live", content(candidate=candidate))
        write(tmp_path, "next", content())
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path)
        assert str(caught.value) == (
            f"{path}: candidate is '{candidate}': it must be the name of another policy; those are next."
        )


class TestRequests:
    def test_it_has_no_name(self) -> None:
        assert policy().name is None

    def test_its_candidate_is_a_configured_policy(self) -> None:
        assert policy(content(candidate="next")).candidate == "next"
        with pytest.raises(InvalidField, match=r"^policy\.candidate is 'nxt': .*; those are live, next\.$"):
            policy(content(candidate="nxt"))

    def test_too_many_labels_are_too_much(self) -> None:
        assert read_inline(content(), known=[], max_labels=5)
        with pytest.raises(TooMuch, match="policy has 5 different labels in neutral, labels and against: at most 4"):
            read_inline(content(), known=[], max_labels=4)

    def test_too_many_categories_are_too_much(self) -> None:
        one = content()["categories"]["weapons"]
        assert policy(content(categories={str(number): one for number in range(MOST_CATEGORIES)}))
        with pytest.raises(TooMuch, match="policy has 101 categories: at most 100 are allowed"):
            policy(content(categories={str(number): one for number in range(MOST_CATEGORIES + 1)}))

    def test_an_odd_name_is_quoted(self) -> None:
        with pytest.raises(InvalidField, match=r"^policy\['fra mes'\] is not a field"):
            policy(content(**{"fra mes": 1}))


class TestWhatIsRead:
    def test_defaults(self) -> None:
        read = policy()
        assert (read.view, read.on_error, read.sample) == ("tiles", "review", 0.0)
        assert read.frames == Frames(most=8, at_least=1, every=0.0)
        assert (read.candidate, read.calibrated_for, read.calibrated) == (None, None, False)

    def test_every_field(self) -> None:
        read = policy(
            {
                "description": "Mine.",
                "view": "pad",
                "frames": {"most": 4, "at_least": 2, "every": 1},
                "on_error": "allow",
                "sample": 0.01,
                "neutral": ["n"],
                "categories": {
                    "b": {
                        "labels": ["z", "y"],
                        "against": ["m"],
                        "review": 0.25,
                        "block": 1,
                        "as": {"openai": "violence", "rekognition": "Violence/Weapons"},
                    },
                    "a": {"labels": ["y"], "block": 0},
                },
                "candidate": "next",
                "calibration": {
                    "model": {"name": "ViT-B-32", "pretrained": "openai"},
                    "categories": {"b": {"scale": 1.3, "offset": -0.4}},
                    "made": {"pictures": 200, "by": ["make calibrate"]},
                },
            }
        )
        assert (read.description, read.view, read.on_error, read.sample) == ("Mine.", "pad", "allow", 0.01)
        assert read.frames == Frames(most=4, at_least=2, every=1.0)
        assert read.candidate == "next"
        assert read.calibrated_for == ModelName(name="ViT-B-32", pretrained="openai")
        assert not read.calibrated, "a has no scale of its own"
        assert read.labels == ("m", "n", "y", "z")
        a, b = read.categories
        assert (a.name, a.labels, a.against, a.review, a.block) == ("a", (2,), (1,), None, 0.0)
        assert (a.scale, a.offset, a.openai, a.rekognition) == (1.0, 0.0, None, None)
        assert (b.name, b.labels, b.against, b.review, b.block) == ("b", (2, 3), (0, 1), 0.25, 1.0)
        assert (b.scale, b.offset, b.openai, b.rekognition) == (1.3, -0.4, "violence", "Violence/Weapons")

    def test_it_is_calibrated_where_every_category_is(self) -> None:
        assert policy(calibration()).calibrated

    def test_a_label_in_neutral_and_against_counts_once(self) -> None:
        twice = policy(category(against=["a camera", "a street"]))
        assert twice.categories == policy().categories

    def test_every_field_has_its_sentence(self) -> None:
        """Whoever adds a field says what it must be."""
        everything = category(**{"as": {"openai": "o", "rekognition": "r"}}) | {
            "description": "d", "view": "pad", "frames": {"most": 1, "at_least": 1, "every": 1}, "on_error": "block",
            "sample": 0, "candidate": "next", "calibration": CALIBRATION,
        }  # fmt: skip

        def kinds(value: Any, *steps: str | int) -> set[str]:
            parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            return {pattern(steps)}.union(*(kinds(part, *steps, step) for step, part in parts))

        assert everything.keys() == PolicyObject.model_fields.keys()
        assert kinds(everything) == {kind for kind in form._MUST if not kind.endswith("?")}

    def test_openapi_can_show_it(self) -> None:
        assert PolicyObject.model_json_schema()["required"] == ["categories"]


class TestVersion:
    def test_it_is_the_same_everywhere(self) -> None:
        assert policy().version == "0cecbb18"

    def test_it_belongs_to_the_content_not_to_the_name(self, tmp_path: Path) -> None:
        write(tmp_path, "one", content())
        write(tmp_path, "other", content())
        assert {read.version for read in read(tmp_path).values()} == {policy().version}

    def test_order_and_written_out_defaults_change_nothing(self) -> None:
        one = content(categories={"a": {"labels": ["1", "2"], "block": 1}, "b": {"labels": ["3"], "review": 0.5}})
        other = {
            "calibration": None,
            "candidate": None,
            "sample": -0.0,
            "on_error": "review",
            "frames": {"every": 0, "most": 8},
            "view": "tiles",
            "description": "",
            "categories": {
                "b": {"review": 0.5, "against": [], "labels": ["3"], "as": {"openai": None}},
                "a": {"block": 1.0, "review": None, "labels": ["2", "1"], "as": {}},
            },
            "neutral": ["a room", "a street"],
        }
        assert policy(other) == policy(one)

    def test_there_is_but_one_zero(self) -> None:
        assert policy(category(review=-0.0)).version == policy(category(review=0)).version

    def test_a_copy_of_a_label_changes_nothing(self) -> None:
        copied = category(labels=["a gun", "a knife", "a gun"], against=["a camera", "a camera"])
        assert policy(copied) == policy()

    @pytest.mark.parametrize(
        "changed",
        [
            content(description="Other."),
            content(view="pad"),
            content(frames={"most": 9}),
            content(on_error="block"),
            content(sample=0.01),
            content(neutral=["a street"]),
            content(candidate="next"),
            category(labels=["a gun"]),
            category(against=["a phone"]),
            category(review=0.61),
            category(block=...),
            category(**{"as": {"openai": "violence"}}),
            calibration(),
            calibration(note="another"),
        ],
    )
    def test_any_change_changes_it(self, changed: dict[str, Any]) -> None:
        assert policy(changed).version not in {policy().version, policy(content(sample=0.02)).version}


class TestCalibration:
    def test_its_own_model_is_right(self) -> None:
        check_calibration(policy(calibration()), name="a", pretrained="b")

    def test_without_calibration_any_model_is(self) -> None:
        check_calibration(policy(), name="a", pretrained="b")

    @pytest.mark.parametrize(("name", "pretrained"), [("a", "c"), ("c", "b")])
    def test_another_model_stops_the_start_with_both_names(self, name: str, pretrained: str, tmp_path: Path) -> None:
        write(tmp_path, "mine", calibration())
        with pytest.raises(ConfigurationError) as caught:
            check_calibration(read(tmp_path)["mine"], name=name, pretrained=pretrained)
        assert str(caught.value) == (
            f"mine.json: calibration.model is a (b), but {name} ({pretrained}) is running: "
            "calibrate for this model, or leave calibration out."
        )

    def test_in_a_request_it_is_the_callers_mistake(self) -> None:
        with pytest.raises(InvalidField, match=r"^policy\.calibration\.model is a \(b\), but c \(d\) is running"):
            check_calibration(policy(calibration()), name="c", pretrained="d")
