"""What real outputs are, by where they were taken from; and how the detector's answers are counted and shown.

python -m tests.detection CORPUS      writes the matrix into docs/detection.md
"""

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headroom_asgi.compressors import ContentKind, detect
from headroom_asgi.transforms import payload_of

DOCS: Final = Path(__file__).parent.parent / "docs" / "detection.md"
HEAD: Final = "| is \\ taken for |"

# By kind: a conversation's id and the number of the output in it, or the id of an output.
LABELS: Final = {
    ContentKind.CODE: """
        intercode/ic_ctf_multiturn_gpt-4_10_turns/77#1
        intercode/ic_ctf_multiturn_gpt-4_10_turns/78#2
        intercode/ic_ctf_multiturn_gpt-4_10_turns/79#3
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/pwn/warmup#2
    """,
    ContentKind.DIFF: """
        hive-mind-claude-cli/issue-724/solution-draft-2#bed773e1#5
        hive-mind-claude-cli/pr-4-revert-issue/session1_log#3b09acec#35
        hive-mind-claude-cli/pr-4-revert-issue/session2_log#8200a430#22
        swe-agent/SWE-bench/tests/test_logs/trajectories/pandas-dev__pandas.95280573.pr_53856/pandas-dev__pandas.95280573.pr_53856#17
    """,
    ContentKind.HTML: """
        html-docs/kafka/28/javadoc/org/apache/kafka/common/serialization/Serdes.DoubleSerde
    """,
    ContentKind.JSON: """
        api-json/localstack/stepfunctions/test_multiple_executions_and_heartbeat_notifications/execution_history_2
        api-json/octokit-fixtures/get-organization/0
        api-json/octokit-webhooks/delete/with-organization.payload
        hive-mind-claude-cli/issue-667-pricing-calculation-failures/pr49-run1-log#46c574cf#33
        hive-mind-claude-cli/issue-759-log-truncation/gist-7257b11a-log#66403671#7
        hive-mind-claude-cli/issue-759-log-truncation/gist-d5059763-log#dde412cc#33
        hive-mind-claude-cli/pr-4-revert-issue/session2_log#8200a430#2
        intercode/ic_sql_multiturn_chat-bison-001_10_turns/125#1
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/125#9
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/151#1
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/257#2
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/271#1
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/374#3
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/374#8
        medagentbench-fhir/brain-parity_mab_100/task2_4#1
        medagentbench-fhir/brain-parity_sweep25_fable5/task10_1#1
        tau-bench/airline/task11/trial1#17
        tau-bench/airline/task19/trial0#7
        tau-bench/airline/task32/trial0#6
        toolathlon/canvas-list-test/deepseek-v3.2-exp#24
        toolathlon/cvpr-research/claude-4.5-sonnet#3
        toolathlon/cvpr-research/claude-4.5-sonnet#39
        toolathlon/huggingface-upload/claude-4.5-sonnet#9
        toolathlon/subway-planning/deepseek-v3.2-exp#6
        toolathlon/update-material-inventory/claude-4.5-sonnet#11
        toolbench/OpenBMB/G3_answer/21_ChatGPT_DFS_woFilter_w2/3#2
        wire-cassettes/traceloop/packages/opentelemetry-instrumentation-langchain/tests/cassettes/test_agents/test_agents_with_events_with_no_content#1
    """,
    ContentKind.LISTING: """
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/b45ad5d8-81fb-4bcb-baba-19d9f503d731#2
        claude-code-sessions/-experiments-worktrees/ef958aa1-0e93-49f0-bb71-150f63befcd1/subagents/agent-a4ca7529859c158c2#side:a4ca7529859c158c2#1
        hive-mind-claude-cli/issue-724/solution-draft-1#5d845269#20
        intercode/ic_bash_multiturn_text-davinci-003_10_turns_fs_3/54#3
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/eps#3
    """,
    ContentKind.LOG: """
        ci-runner-logs/issue-715-codex-authentication-failures/codex-cli-full-log
        ci-runner-logs/issue-719-usage-limit/working-session-logs/ci-logs/runs/_tails
        ci-runner-logs/issue-724/latest-log
        ci-runner-logs/issue-724/option-test-log
        ci-runner-logs/issue-729-codex-loop/analysis-tail
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#29
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#30
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#35
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#37
        hive-mind-claude-cli/issue-724/solution-draft-2#bed773e1#88
        intercode/ic_ctf_multiturn_gpt-4_10_turns/42#1
        intercode/ic_ctf_multiturn_gpt-4_10_turns/63#1
        swe-agent/SWE-bench/tests/test_logs/trajectories/pandas-dev__pandas.95280573.pr_53856/pandas-dev__pandas.95280573.pr_53856#14
        swebench-eval-logs/docker/matplotlib__matplotlib-23476/SWE-bench_Lite_golden
        swebench-eval-logs/docker/pytest-dev__pytest-8641/SWE-bench_check_harness
        swebench-eval-logs/docker/scikit-learn__scikit-learn-15535/auto-code-rover-run-1
        swebench-eval-logs/docker/sqlfluff__sqlfluff-1517/SWE-bench_Lite_golden
        swebench-eval-logs/moatless/matplotlib_output_1
        swebench-eval-logs/moatless/seaborn_output_1
        toolathlon/k8s-mysql/deepseek-v3.2-exp#8
    """,
    ContentKind.MARKUP: """
        html-docs/kafka/0102/connect
        html-docs/kafka/28/streams/core-concepts
        html-docs/kafka/34/generated/connect_metrics
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/web/i_got_id_demo#1
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/web/i_got_id_demo#11
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/web/i_got_id_demo#5
    """,
    ContentKind.SEARCH: """
        ci-runner-logs/issue-729-codex-loop/rapid-loop-pattern
        hive-mind-claude-cli/issue-724/solution-draft-1#5d845269#12
    """,
    ContentKind.TABLE: """
        hive-mind-claude-cli/pr-4-revert-issue/session2_log#8200a430#3
    """,
    ContentKind.TEXT: """
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/37f83ec9-f2ea-42a9-925e-0d5c105cb6e8#34
        claude-code-sessions/-experiments-worktrees/ef958aa1-0e93-49f0-bb71-150f63befcd1#19
        claude-code-sessions/-src-experiments-claude_p/256ba646-2c15-437a-98e9-4171aafd030e#2
        eval-log-samples/docent/ctf/59/2#6
        eval-log-samples/docent/ctf/59/2#7
        eval-log-samples/openhands-sdk/litellm_proxy__anthropic__claude-sonnet-4-20250514-1757015046.707#5
        hive-mind-claude-cli/issue-667-pricing-calculation-failures/pr49-run1-log#46c574cf#25
        hive-mind-claude-cli/issue-667-pricing-calculation-failures/pr49-run1-log#46c574cf#26
        hive-mind-claude-cli/issue-724/solution-draft-2#bed773e1#4
        hive-mind-claude-cli/issue-759-log-truncation/gist-7257b11a-log#66403671#5
        hive-mind-claude-cli/issue-759-log-truncation/gist-d5059763-log#dde412cc#27
        hive-mind-claude-cli/pdf-failure-issue-655/pr2-full-log#c53ec50e#2
        hive-mind-claude-cli/pr-4-revert-issue/session1_log#3b09acec#2
        intercode/ic_sql_multiturn_gpt-3.5_10_turns/817#2
        prose/docs/inspect_ai/design/log_edits_tags_metadata.md
        prose/docs/inspect_ai/docs/multiple-scorers.qmd
        prose/docs/inspect_ai/docs/react-agent.qmd
        prose/docs/pydantic-ai/pydantic_ai_slim/pydantic_ai/.agents/skills/building-pydantic-ai-agents/references/ON-DEMAND-CAPABILITIES.md
        prose/odr/deep_research_bench_claude4-sonnet/83
        prose/odr/deep_research_bench_claude4-sonnet/84
        prose/odr/deep_research_bench_gpt-4.1/56
        prose/odr/deep_research_bench_gpt-5/77
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/eps#4
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/eps#8
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/katy#1
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/katy#11
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/katy#12
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/katy#14
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/crypto/katy#15
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/forensics/flash#2
        toolathlon/cvpr-research/claude-4.5-sonnet#44
        toolathlon/huggingface-upload/claude-4.5-sonnet#62
        toolathlon/k8s-mysql/claude-4.5-sonnet#14
        toolathlon/k8s-mysql/deepseek-v3.2-exp#13
        toolathlon/language-school/deepseek-v3.2-exp#28
        toolathlon/language-school/deepseek-v3.2-exp#81
        toolathlon/meeting-assign/deepseek-v3.2-exp#13
        toolbench/OpenBMB/G1_answer/11_ChatGPT_DFS_woFilter_w2/3#1
        wire-cassettes/pydantic/tests/cassettes/test_temporal/test_mcptoolset_dynamic_toolset_in_workflow#1
        wire-cassettes/pydantic/tests/models/cassettes/test_groq/test_tool_use_failed_error_streaming#1
    """,
    ContentKind.VIEW: """
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#17
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#25
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/12a546d1-83a7-49a6-abba-5400db340b43#34
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/37f83ec9-f2ea-42a9-925e-0d5c105cb6e8#105
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/37f83ec9-f2ea-42a9-925e-0d5c105cb6e8#27
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/37f83ec9-f2ea-42a9-925e-0d5c105cb6e8#64
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/37f83ec9-f2ea-42a9-925e-0d5c105cb6e8#84
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/71c9afe9-d9cc-4583-86b3-e62ba682b83a#1
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/937c6e6b-27e7-4edd-86f1-ad28f9731841#26
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/aa5c5ada-4f1e-4b7f-9d1f-c496b3badde5#11
        claude-code-sessions/-Users-dain-workspace-claude-code-log-sample/cbc0f75b-b36d-4efd-a7da-ac800ea30eb6#7
        claude-code-sessions/-Users-dain-workspace-coderabbit-review-helper/agent-b52b1c09#side:b52b1c09#3
        claude-code-sessions/-Users-dain-workspace-danieldemmel-me-next/f852ad25-1024-47da-964e-5eaae5bd6e6a#27
        hive-mind-claude-cli/issue-724/solution-draft-1#5d845269#14
        hive-mind-claude-cli/issue-724/solution-draft-1#5d845269#18
        hive-mind-claude-cli/issue-724/solution-draft-2#bed773e1#34
        hive-mind-claude-cli/pr-4-revert-issue/session1_log#3b09acec#4
        swe-agent/SWE-agent/trajectories/demonstrations/ctf/web/i_got_id_demo#9
    """,
}


def outputs(corpus: Path) -> Iterator[tuple[str, str]]:
    """Every output of the corpus, by its id."""
    for path in sorted((corpus / "conversations").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                conversation = json.loads(line)
                wanted = {name.rpartition("#")[2] for name in _NAMES if name.startswith(f"{conversation['id']}#")}
                if wanted:
                    segments = payload_of(conversation["messages"], "gpt-4o", conversation["format"]).segments
                    yield from ((f"{conversation['id']}#{at}", segments[int(at)].text) for at in sorted(wanted))
    for path in sorted((corpus / "outputs").glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                output = json.loads(line)
                content = output["content"]
                yield output["id"], content if isinstance(content, str) else json.dumps(content)


_NAMES: Final = {name.strip(): kind for kind, names in LABELS.items() for name in names.strip().splitlines()}


def confusion(corpus: Path) -> Counter[tuple[ContentKind, ContentKind]]:
    """How often each kind was taken for each."""
    return Counter((_NAMES[name], detect(text)) for name, text in outputs(corpus) if name in _NAMES)


def table(counts: Counter[tuple[ContentKind, ContentKind]]) -> str:
    """The matrix in Markdown: a row for each kind that a text is, a column for each kind that it was taken for."""
    kinds = [kind for kind in ContentKind if any(kind in pair for pair in counts)]
    rows = [f"{HEAD} {' | '.join(kind.value for kind in kinds)} |", "|---|" + "---|" * len(kinds)]
    rows += [f"| {own.value} | {' | '.join(str(counts[own, taken] or '') for taken in kinds)} |" for own in kinds]
    return "\n".join(rows)


if __name__ == "__main__":
    text = DOCS.read_text(encoding="utf-8")
    start = text.index(HEAD)
    end = text.index("\n\n", start)
    DOCS.write_text(text[:start] + table(confusion(Path(sys.argv[1]))) + text[end:], encoding="utf-8")
