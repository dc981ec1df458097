"""The examples of the transform pipeline's own description, as written but for the module root."""

import json
from typing import Any

from headroom_asgi import HeadroomConfig, Tokenizer, Transform, TransformPipeline, TransformResult
from headroom_asgi.transforms import ContentRouter
from tests.driver import ORDERS, question_body

messages = question_body("openai-chat", json.dumps(ORDERS[:12], indent=1))["messages"]


class MyUpperCaseTransform(Transform):
    name = "uppercase"

    def should_apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> bool:
        return any(tokenizer.count_text(m.get("content", "")) > 100 for m in messages if m.get("role") == "user")

    def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
        new_messages = []
        for m in messages:
            if isinstance(m.get("content"), str):
                m["content"] = m["content"].upper()
            new_messages.append(m)

        return TransformResult(
            messages=new_messages,
            tokens_before=tokenizer.count_messages(messages),
            tokens_after=tokenizer.count_messages(new_messages),
            transforms_applied=[self.name],
            markers_inserted=[],
            warnings=[],
        )


def test_the_default_pipeline() -> None:
    before = json.dumps(messages)
    pipeline = TransformPipeline()
    result = pipeline.apply(messages, model="gpt-4o", model_limit=128_000)

    assert result.transforms_applied == ["smart:lossless"]
    assert result.tokens_after < result.tokens_before / 2
    assert result.warnings == []
    assert list(result.timing) == ["cache_aligner", "content_router", "repeats"]
    assert json.dumps(messages) == before


def test_a_custom_transform_after_the_default_ones() -> None:
    pipeline = TransformPipeline(
        transforms=[
            *TransformPipeline()._build_default_transforms(),
            MyUpperCaseTransform(),  # Executes after defaults
        ]
    )
    long_question = "please " * 150
    result = pipeline.apply([{"role": "user", "content": long_question}, *messages[1:]], model="gpt-4o", model_limit=128_000)
    assert result.transforms_applied == ["smart:lossless", "uppercase"]
    assert result.messages[0]["content"] == long_question.upper()
    assert result.messages[2]["content"] == TransformPipeline().apply(messages, "gpt-4o").messages[2]["content"].upper()

    short = pipeline.apply(messages, model="gpt-4o", model_limit=128_000)
    assert short.transforms_applied == ["smart:lossless"]


def test_a_custom_transform_before_the_default_ones_changes_what_they_see() -> None:
    class Replace(Transform):
        name = "replace"

        def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
            messages[2]["content"] = json.dumps(ORDERS[:30], indent=1)
            return TransformResult(messages, 0, 0, [self.name])

    result = TransformPipeline(transforms=[Replace(), ContentRouter()]).apply(messages, "gpt-4o")
    assert "[30]:" in result.messages[2]["content"]
    assert result.transforms_applied == ["replace", "smart:lossless"]


def test_last_transform_names_the_one_that_ran_before() -> None:
    seen: list[str] = []

    class Looking(Transform):
        name = "looking"

        def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
            seen.append(kwargs["last_transform"])
            return TransformResult(messages, 0, 0)

    TransformPipeline(transforms=[Looking(), ContentRouter(), Looking()]).apply(messages, "gpt-4o")
    assert seen == ["", "content_router"]


def test_a_transform_that_fails_is_skipped_with_a_warning() -> None:
    class Broken(Transform):
        name = "broken"

        def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
            messages.clear()
            raise RuntimeError

    result = TransformPipeline(transforms=[Broken(), ContentRouter()]).apply(messages, "gpt-4o")
    assert result.transforms_applied == ["smart:lossless"]
    assert result.warnings == ["broken failed and was skipped"]


def test_warnings_markers_and_labels_of_every_transform_are_aggregated() -> None:
    class Telling(Transform):
        name = "telling"

        def apply(self, messages: list[Any], tokenizer: Tokenizer, **kwargs: Any) -> TransformResult:
            assert kwargs["model_limit"] == 128_000
            return TransformResult(messages, 0, 0, ["told"], ["marker"], ["a warning"])

    result = TransformPipeline(transforms=[Telling(), ContentRouter()]).apply(messages, "gpt-4o", 128_000)
    assert result.transforms_applied == ["told", "smart:lossless"]
    assert result.markers_inserted == ["marker"]
    assert result.warnings == ["a warning"]


def test_the_models_limit_warns_and_changes_nothing() -> None:
    result = TransformPipeline().apply(messages, model="gpt-4o", model_limit=10)
    assert result.messages == TransformPipeline().apply(messages, model="gpt-4o").messages
    assert len(result.warnings) == 1
    assert "exceed the model's limit of 10" in result.warnings[0]


def test_a_transform_is_disabled_by_its_flag() -> None:
    cfg = HeadroomConfig()
    cfg.content_router.enabled = False
    assert TransformPipeline(config=cfg).apply(messages, "gpt-4o").messages == messages
    cfg = HeadroomConfig()
    cfg.smart_crusher.enabled = False
    assert TransformPipeline(config=cfg).apply(messages, "gpt-4o").transforms_applied == []


def test_the_cache_aligner_is_disabled_by_its_flag() -> None:
    dated = [{"role": "system", "content": "Today is 2026-11-21."}, *messages]
    assert len(TransformPipeline().apply(dated, "gpt-4o").warnings) == 1
    cfg = HeadroomConfig()
    cfg.cache_aligner.enabled = False
    assert TransformPipeline(config=cfg).apply(dated, "gpt-4o").warnings == []


def test_one_transform_can_be_applied_alone() -> None:
    result = ContentRouter().apply(messages, Tokenizer("gpt-4o"), model="gpt-4o")
    assert result.messages == TransformPipeline().apply(messages, "gpt-4o").messages
    assert result.tokens_saved > 0
