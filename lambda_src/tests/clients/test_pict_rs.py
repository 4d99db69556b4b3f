"""pict-rs' request, byte for byte as it sends it - chunked, without a length - and its answer, read as it reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from support.client_pictures import ALLOWED, BLOCKED, REVIEWED, UNREADABLE
from support.harness import Service, StartService
from support.pictures import drawn, encoded
from support.wire import exchange


def upload(
    service: Service, query: str, data: bytes, kind: str = "image/png", sizes: Sequence[int] = (65_536,)
) -> tuple[int, str]:
    """Send an upload as reqwest sends a stream: the head, then a chunk for each piece that the store gives."""
    target = f"/hooks/pict-rs{'?' if query else ''}{query}"
    head = (
        f"POST {target} HTTP/1.1\r\ncontent-type: {kind}\r\naccept: */*\r\nuser-agent: pict-rs v0.5.0-main\r\n"
        f"host: 127.0.0.1:{service.port}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    reply = exchange(service, (head.encode(), *chunks(data, sizes), b"0\r\n\r\n"))
    assert reply.headers["content-type"].startswith("text/plain")
    return reply.status, reply.body.decode()


def chunks(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    place, turn = 0, 0
    while place < len(data):
        piece = data[place : place + sizes[turn % len(sizes)]]
        yield f"{len(piece):X}\r\n".encode() + piece + b"\r\n"
        place, turn = place + len(piece), turn + 1


def accepts(status: int) -> bool:
    """All that pict-rs looks at: `response.status().is_success()`."""
    return 200 <= status < 300


class TestVerdicts:
    def test_what_is_allowed_is_accepted_with_a_sentence(self, demo: Service) -> None:
        status, sentence = upload(demo, "policy=demo", ALLOWED)
        assert status == 200
        assert sentence.startswith("Accepted by the policy demo, version ")

    def test_what_is_blocked_is_406_and_the_sentence_says_why(self, demo: Service) -> None:
        status, sentence = upload(demo, "policy=demo", BLOCKED)
        assert status == 406
        assert "red circles (block)" in sentence

    def test_review_refuses_only_where_the_url_or_the_setting_says_so(
        self, demo: Service, start_service: StartService
    ) -> None:
        assert upload(demo, "policy=demo", REVIEWED)[0] == 200
        assert upload(demo, "policy=demo&refuse=block", REVIEWED)[0] == 200
        assert upload(demo, "policy=demo&refuse=review", REVIEWED)[0] == 406
        strict = start_service(default_policy="demo", flag_from="review")
        assert upload(strict, "", REVIEWED)[0] == 406
        assert upload(strict, "refuse=block", REVIEWED)[0] == 200

    def test_without_a_policy_the_default_decides(self, demo: Service, service: Service) -> None:
        assert "policy demo" in upload(demo, "", ALLOWED)[1]
        assert "policy moderation" in upload(service, "", ALLOWED)[1]

    @pytest.mark.parametrize("sizes", [(1, 7, 100), (65_536,), (8_192,)])
    def test_the_chunks_sizes_change_nothing(self, demo: Service, sizes: tuple[int, ...]) -> None:
        assert upload(demo, "policy=demo", BLOCKED, sizes=sizes)[0] == 406

    @pytest.mark.parametrize(
        ("format", "kind"),
        [("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("AVIF", "image/avif"), ("GIF", "image/gif")],
    )
    def test_its_kinds_of_pictures_are_read(self, demo: Service, format: str, kind: str) -> None:
        assert upload(demo, "policy=demo", encoded(drawn("red", "circle"), format), kind)[0] == 406

    def test_the_token_in_the_url_is_left_to_the_gateway(self, demo: Service) -> None:
        assert upload(demo, "policy=demo&refuse=block&on_error=refuse&token=secret", ALLOWED)[0] == 200

    def test_what_only_the_sample_sends_to_review_is_not_refused(
        self, start_service: StartService, tmp_path: Path
    ) -> None:
        (tmp_path / "sampled.json").write_text(
            '{"sample": 1, "categories": {"red circles": {"labels": ["a red circle"], "against": ["a green star"],'
            ' "review": 0.9}}}'
        )
        service = start_service(policies_dir=tmp_path, default_policy="sampled")
        assert upload(service, "refuse=review", ALLOWED)[0] == 200
        assert upload(service, "refuse=review", BLOCKED)[0] == 406


class TestWhatCannotBeJudged:
    @pytest.mark.parametrize("name", UNREADABLE)
    def test_it_is_refused(self, demo: Service, name: str) -> None:
        for query in ("policy=demo", "policy=demo&on_error=refuse"):
            status, sentence = upload(demo, query, UNREADABLE[name])
            assert 400 <= status < 500
            assert sentence.startswith("Not judged, and refused: The upload ")

    @pytest.mark.parametrize("name", UNREADABLE)
    def test_it_is_accepted_where_the_owner_wrote_so_and_marked_as_such(self, demo: Service, name: str) -> None:
        status, sentence = upload(demo, "policy=demo&on_error=allow", UNREADABLE[name])
        assert status == 202
        assert accepts(status)
        assert sentence.startswith("Not judged, and accepted because of on_error=allow: ")

    def test_videos_are_no_pictures(self, demo: Service) -> None:
        video = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(100)
        assert upload(demo, "policy=demo", video, "video/mp4")[0] == 415
        assert upload(demo, "policy=demo&on_error=allow", video, "video/mp4")[0] == 202

    def test_on_error_allow_does_not_allow_what_is_judged(self, demo: Service) -> None:
        assert upload(demo, "policy=demo&on_error=allow", BLOCKED)[0] == 406

    def test_a_bug_refuses_or_is_accepted_likewise_and_shows_nothing(self, failing: Service) -> None:
        status, sentence = upload(failing, "", ALLOWED)
        assert (status, accepts(status)) == (500, False)
        assert "machine" not in sentence
        assert upload(failing, "on_error=allow", ALLOWED)[0] == 202

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("policy=demo2", "demo2"),
            ("policy=demo&policy=moderation", "twice"),
            ("refuse=everything", "review or block"),
            ("refuse=block&refuse=review", "refuse"),
            ("on_error=alow", "allow or refuse"),
            ("on_error=allow&on_error=refuse", "on_error"),
            ("on_eror=allow", "on_eror"),
        ],
    )
    def test_a_mistake_in_the_url_refuses_every_upload_or_nobody_would_notice(
        self, demo: Service, query: str, words: str
    ) -> None:
        for url in (query, query if "on_error" in query else f"{query}&on_error=allow"):
            status, sentence = upload(demo, url, ALLOWED)
            assert status == 422
            assert words in sentence
