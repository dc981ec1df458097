"""The faults that `tests.mutants` plants: mistakes that somebody could make, and the test that has to notice each.

`old` is as little of the code as says where, and occurs once in its file.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """One planted fault.

    Attributes:
        name: what goes wrong.
        file: where, below `headroom_asgi/`.
        old, new: the snippet that is there, and the faulty one.
        test: node id, below `tests/`, of a test that passes without the fault and fails with it.
    """

    name: str
    file: str
    old: str
    new: str
    test: str

    @property
    def compiled(self) -> bool:
        """It takes a compiler to plant it."""
        return self.file.endswith((".pyx", ".pxi"))


_REFS: Final = (
    Mutant(
        "time-in-which-the-loop-stood-still-counts",
        "store/patience.py",
        "self._awake_s += min(now - self._seen, _AWAKE_S)",
        "self._awake_s += now - self._seen",
        "test_store_guarded.py::test_an_event_loop_that_stands_still_is_not_the_fault_of_the_store",
    ),
    Mutant(
        "stores-that-are-handed-in-are-not-guarded",
        "engine/engine.py",
        "else GuardedStore(store)",
        "else store",
        "test_attacks.py::test_a_store_that_never_answers_holds_up_no_request",
    ),
    Mutant(
        "ref-without-tenant",
        "compressors/marker.py",
        "blake2b(digest + name,",
        "blake2b(digest,",
        "test_middleware.py::test_tenants_have_different_refs_and_separate_originals",
    ),
    Mutant(
        "same-ref-for-all-texts",
        "transforms/content_router.py",
        "make_ref(context.tenant, digest)",
        'make_ref(context.tenant, b"")',
        "test_more_laws.py::test_the_ref_of_each_output_gives_back_its_own_rows",
    ),
    Mutant(
        "part-named-wrong",
        "compressors/marker.py",
        '{ref}-{part}"',
        '{ref}-{part - 1}"',
        "test_rounds.py::test_a_row_that_was_left_out_is_found_and_the_client_sees_an_ordinary_answer",
    ),
    Mutant(
        "forged-ref-honored",
        "retrieval/tool.py",
        "self._texts.get(wanted.ref)",
        "self._texts.get(wanted.ref) or next(iter(self._texts.values()), None)",
        "test_rounds.py::test_only_refs_that_this_exchange_wrote_are_honored",
    ),
    Mutant(
        "originals-without-tenant",
        "engine/originals.py",
        "value, tenant=tenant,",
        'value, tenant="",',
        "test_middleware.py::test_tenants_have_different_refs_and_separate_originals",
    ),
    Mutant(
        "other-tenants-entry",
        "store/memory.py",
        "entry = self._tenants.get(tenant, {}).get(ns, {}).get(key)",
        "entry = next((s[ns][key] for s in self._tenants.values() if key in s.get(ns, {})), None)",
        "test_store.py::test_a_tenant_sees_and_changes_only_its_own",
    ),
    Mutant(
        "retrieval-without-bound",
        "retrieval/tool.py",
        "min(PAGE_BYTES, self._max_bytes - spent)",
        "PAGE_BYTES",
        "test_flow.py::test_what_is_handed_out_in_one_exchange_is_bounded",
    ),
    Mutant(
        "store-failure-raises",
        "engine/exchange.py",
        "        except Exception as error:\n            _log.warning(event, request_id",
        "        except HeadroomError as error:\n            _log.warning(event, request_id",
        "test_attacks.py::test_a_store_that_raises_what_it_likes_does_not_change_the_bytes",
    ),
)

_BYTES: Final = (
    Mutant(
        "newest-question-decides",
        "wire/openai_chat.py",
        "question = texts or question",
        "question = _texts(document, document.elements(messages)[-1]) or texts or question",
        "test_more_laws.py::test_a_conversation_that_grows_only_ever_extends_what_was_sent",
    ),
    Mutant(
        "question-as-plain-text-ignored",
        "wire/anthropic.py",
        "(content,) if document.text(content).strip() else question",
        "question",
        "test_more_laws.py::test_the_nearest_question_before_an_output_decides_what_is_kept_of_it",
    ),
    Mutant(
        "newest-output-left-alone",
        "transforms/content_router.py",
        "for segment in segments]",
        "for segment in segments[:-1]]",
        "test_more_laws.py::test_a_conversation_that_grows_only_ever_extends_what_was_sent",
    ),
    Mutant(
        "memo-decides",
        "transforms/content_router.py",
        "            state.update(question)\n",
        "",
        "test_more_laws.py::test_what_was_seen_before_changes_no_byte",
    ),
    Mutant(
        "edits-at-old-places",
        "wire/base.py",
        "if self.source is self._unedited else self._found.edited(edits)",
        "",
        "test_payload.py::test_edits_go_to_the_places_of_what_was_looked_into",
    ),
    Mutant(
        "tool-before-the-clients",
        "wire/openai_chat.py",
        "insert_elements(document, tools, last + 1,",
        "insert_elements(document, tools, 0,",
        "test_openai_chat.py::test_the_tool_goes_behind_the_last_function_tool",
    ),
    Mutant(
        "tool-only-when-needed",
        "engine/exchange.py",
        "if redeemable:\n            kept",
        "if redeemable and step.report.markers:\n            kept",
        "test_middleware.py::test_ccr_offers_the_tool_from_the_first_request_of_a_conversation_that_has_tools",
    ),
    Mutant(
        "omission-without-tool",
        "engine/exchange.py",
        "Context(self.tenant, redeemable, POLICY)",
        'Context(self.tenant, self.route.mode == "ccr", POLICY)',
        "test_middleware.py::test_rows_are_left_out_only_where_the_tool_is_offered",
    ),
    Mutant(
        "errors-left-out",
        "transforms/content_router.py",
        "context.redeemable and not segment.is_error",
        "context.redeemable",
        "test_more_laws.py::test_an_output_that_is_an_error_is_never_left_out",
    ),
    Mutant(
        "exact-match-by-case",
        "transforms/tools.py",
        "name = tool.lower()",
        "name = tool",
        "test_middleware.py::test_exact_match_tools_are_never_touched",
    ),
    Mutant(
        "exact-match-without-prefix",
        "transforms/tools.py",
        "name[joint.end() :]",
        "name[joint.start() :]",
        "test_middleware.py::test_exact_match_tools_are_never_touched",
    ),
    Mutant(
        "no-minimum-of-tokens",
        "transforms/content_router.py",
        "saved < _MIN_SAVED_TOKENS or ",
        "",
        "test_more_laws.py::test_what_would_save_too_little_goes_as_it_came",
    ),
    Mutant(
        "no-minimum-share",
        "transforms/content_router.py",
        "or not many or",
        "or",
        "test_more_compressors.py::test_32_tokens_and_a_tenth_pay_and_a_thirtieth_or_256_of_what_is_lossless",
    ),
    Mutant(
        "share-of-a-long-text-not-enough",
        "transforms/content_router.py",
        " or (compressed.lossless and saved >= _MANY_SAVED_TOKENS)",
        "",
        "test_more_compressors.py::test_32_tokens_and_a_tenth_pay_and_a_thirtieth_or_256_of_what_is_lossless",
    ),
    Mutant(
        "many-tokens-pay-for-an-omission",
        "transforms/content_router.py",
        "compressed.lossless and saved >=",
        "saved >=",
        "test_more_compressors.py::test_32_tokens_and_a_tenth_pay_and_a_thirtieth_or_256_of_what_is_lossless",
    ),
    Mutant(
        "proof-skipped",
        "compressors/kernel.py",
        "if not parts and _crush.expand(short)",
        "if not short and _crush.expand(short)",
        "test_more_compressors.py::test_what_is_lossless_has_to_read_back_as_the_value_or_as_the_very_text",
    ),
    Mutant(
        "text-proved-as-a-value",
        "compressors/kernel.py",
        "if short.startswith(_FORMS) and not short.startswith(_OF_A_VALUE):",
        "if not short.startswith(_FORMS):",
        "test_more_compressors.py::test_what_is_lossless_has_to_read_back_as_the_value_or_as_the_very_text",
    ),
    Mutant(
        "audit-sends-the-shorter",
        "engine/exchange.py",
        'if self.route.mode != "audit":',
        "if self.route.mode:",
        "test_middleware.py::test_audit_measures_and_sends_the_original",
    ),
    Mutant(
        "splice-serializes-anew",
        "wire/splice.py",
        'return b"".join(pieces)',
        'return json.dumps(json.loads(b"".join(pieces))).encode()',
        "test_middleware.py::test_a_table_arrives_shorter_and_everything_else_as_it_was",
    ),
    Mutant(
        "first-of-duplicate-keys-edited",
        "wire/splice.py",
        "values = dict(document.items(node))",
        "values = dict(document.items(node)[::-1])",
        "test_splice.py::test_what_did_not_change_keeps_its_bytes",
    ),
)

_STAGES: Final = (
    Mutant(
        "stage-skipped",
        "engine/exchange.py",
        "(PipelineStage.INPUT_REMEMBERED, PipelineStage.PRE_SEND)",
        "(PipelineStage.PRE_SEND,)",
        "test_lifecycle.py::test_every_stage_fires_once_in_order",
    ),
    Mutant(
        "stage-fired-twice",
        "engine/staged.py",
        "if self.notes.received:",
        "if self.notes.received and editable:",
        "test_lifecycle.py::test_every_stage_fires_once_in_order",
    ),
    Mutant(
        "stage-fired-per-hidden-round",
        "middleware/respond.py",
        "self._exchange.wire.read, body)",
        "self._exchange.wire.read, await self._exchange.received(body))",
        "test_lifecycle.py::test_hidden_rounds_fire_no_stage_of_their_own",
    ),
    Mutant(
        "extension-failure-gets-out",
        "pipeline/extensions.py",
        "if isinstance(error, Exception) or",
        "if isinstance(error, ConfigError) or",
        "test_lifecycle.py::test_an_extension_that_fails_is_skipped_and_said_to_be_a_risk",
    ),
    Mutant(
        "edits-of-a-failed-extension-kept",
        "pipeline/extensions.py",
        "self.event = self._saved",
        "self.event = self.event",
        "test_pipeline.py::test_after_an_exception_the_next_extension_gets_the_last_good_state",
    ),
    Mutant(
        "torn-calls-accepted",
        "transforms/messages.py",
        "if not payload.wire.unpaired(edited) <= payload.wire.unpaired(payload):",
        "if False:",
        "test_lifecycle.py::test_an_edit_that_tears_calls_and_results_apart_is_refused",
    ),
    Mutant(
        "spans-of-before-the-edit",
        "transforms/pipeline.py",
        "self.payload = payload\n        self.look_up()",
        "self.payload = payload",
        "test_lifecycle.py::test_edits_at_any_input_stage_reach_the_app_and_leave_all_else_as_it_was",
    ),
    Mutant(
        "app-called-after-a-short-circuit",
        "middleware/asgi.py",
        "await _answer(exchange, reply, send)",
        "await _answer(exchange, reply, send)\n                await self.app(scope, replay(received, receive), send)",
        "test_lifecycle.py::test_an_extension_answers_and_later_input_stages_do_not_fire",
    ),
    Mutant(
        "our-failure-gets-out",
        "engine/exchange.py",
        "self._fail_open(error)\n",
        "raise\n",
        "test_attacks_inside.py::test_what_an_extension_redacted_stays_redacted_when_we_fail",
    ),
    Mutant(
        "observer-failure-gets-out",
        "engine/engine.py",
        "except Exception as error:\n                _log.warning(",
        "except ConfigError as error:\n                _log.warning(",
        "test_middleware.py::test_an_observer_that_fails_disturbs_nobody",
    ),
)

_ROUNDS: Final = (
    Mutant(
        "max-rounds-ignored",
        "retrieval/flow.py",
        "last=len(done) + 1 >= max_rounds",
        "last=False",
        "test_flow.py::test_the_last_round_is_announced_in_its_last_result_and_its_own_calls_are_dropped",
    ),
    Mutant(
        "hidden-call-kept-beside-the-clients",
        "retrieval/flow.py",
        "if (part.call is not None and part.call.name == TOOL.name) or (",
        "if (",
        "test_rounds.py::test_beside_the_clients_own_calls_a_hidden_one_is_dropped_and_forgotten",
    ),
    Mutant(
        "hidden-call-leaks-into-the-stream",
        "retrieval/watch.py",
        "if part is not None and part.leads_to.fate is Fate.OURS:",
        "if False:",
        "test_rounds.py::test_a_row_that_was_left_out_is_found_and_the_client_sees_an_ordinary_answer",
    ),
    Mutant(
        "mixed-round-answered",
        "retrieval/flow.py",
        'return "mixed"',
        'return ""',
        "test_flow.py::test_beside_a_call_of_the_client_ours_is_dropped_and_the_turn_is_the_clients",
    ),
    Mutant(
        "cut-round-answered",
        "retrieval/flow.py",
        "if answer.finish is Finish.CUT:",
        "if not ours:",
        "test_flow.py::test_a_round_that_was_cut_is_never_answered",
    ),
    Mutant(
        "signed-thinking-of-later-rounds-shown",
        "retrieval/flow.py",
        "redacted=retrievals > 0",
        "redacted=False",
        "test_flow.py::test_what_was_signed_after_a_call_of_ours_is_not_kept",
    ),
    Mutant(
        "thinking-not-sent-back",
        "wire/blocks.py",
        "not bound and not is_empty(answer.document, part):",
        "not bound and part.kind is not PartKind.SIGNED:",
        "test_anthropic.py::test_the_next_round_has_the_whole_turn_verbatim_and_the_results",
    ),
    Mutant(
        "preamble-before-structured-output",
        "retrieval/flow.py",
        "texts=bool(reason) or not structured",
        "texts=True",
        "test_rounds.py::test_structured_output_has_no_preamble_of_hidden_rounds",
    ),
    Mutant(
        "streamed-preamble-before-structured-output",
        "retrieval/watch.py",
        "self._text = not self._structured",
        "self._text = True",
        "test_rounds.py::test_structured_output_has_no_preamble_of_hidden_rounds",
    ),
    Mutant(
        "usage-of-the-last-round-only",
        "wire/usage.py",
        "return sum(value for value in present if _is_number(value))",
        "return last",
        "test_rounds.py::test_usage_is_summed_over_rounds",
    ),
    Mutant(
        "index-restarted",
        "retrieval/watch.py",
        "self._next if self._redacted else event.index",
        "event.index",
        "test_more_laws.py::test_a_stream_of_two_rounds_is_one_stream",
    ),
    Mutant(
        "index-restarted-in-chat-chunks",
        "wire/openai_chat_stream.py",
        'return entry if round_ <= 1 and event.index == entry.get("index") else',
        "return entry if round_ else",
        "test_openai_chat_stream.py::test_indices_of_the_client_s_calls_are_dense",
    ),
    Mutant(
        "index-restarted-in-anthropic-events",
        "wire/anthropic_stream.py",
        "frame.raw if event.index == frame.events[0].index else _moved(event)",
        "frame.raw",
        "test_more_laws.py::test_a_stream_of_two_rounds_is_one_stream",
    ),
    Mutant(
        "second-start",
        "retrieval/watch.py",
        "if event.kind is EventKind.START:\n            return self._first",
        "if event.kind is EventKind.START:\n            return True",
        "test_more_laws.py::test_a_stream_of_two_rounds_is_one_stream",
    ),
    Mutant(
        "second-finish",
        "retrieval/watch.py",
        "(self._first and not self._redacted) if ends is None else ends",
        "True",
        "test_more_laws.py::test_a_stream_of_two_rounds_is_one_stream",
    ),
)

_HTTP: Final = (
    Mutant(
        "stale-length-on-the-request",
        "middleware/headers.py",
        '*(b"content-length", b"transfer-encoding",',
        '*(b"transfer-encoding",',
        "test_middleware.py::test_a_changed_body_has_its_own_length_and_other_headers_stay",
    ),
    Mutant(
        "stale-length-on-the-response",
        "middleware/headers.py",
        '{b"content-length", b"content-encoding", b"etag",',
        '{b"content-encoding", b"etag",',
        "test_more_laws.py::test_an_answer_of_two_rounds_has_one_length_and_it_is_its_own",
    ),
    Mutant(
        "coding-named-on-a-decoded-body",
        "middleware/headers.py",
        'b"transfer-encoding", b"content-encoding",',
        'b"transfer-encoding",',
        "test_middleware.py::test_coded_bodies_are_read_and_forwarded_uncoded_if_changed",
    ),
    Mutant(
        "idempotency-key-repeated",
        "middleware/headers.py",
        'frozenset({b"idempotency-key", ',
        "frozenset({",
        "test_rounds.py::test_every_round_has_a_scope_of_its_own",
    ),
    Mutant(
        "scope-shared-by-rounds",
        "middleware/headers.py",
        'scope = marked({**snapshot, "headers": headers}, number)',
        'snapshot |= marked({**snapshot, "headers": headers}, number)\n    scope = snapshot',
        "test_rounds.py::test_every_round_has_a_scope_of_its_own",
    ),
    Mutant(
        "path-parameters-shared-by-rounds",
        "middleware/headers.py",
        'dict(snapshot["path_params"])',
        'snapshot["path_params"]',
        "test_more_laws.py::test_path_parameters_that_one_round_changes_are_as_they_were_in_the_next",
    ),
    Mutant(
        "decompressed-size-unbounded",
        "middleware/asgi.py",
        "decode, body, codings, self._settings.max_body_bytes)",
        "decode, body, codings, 1 << 40)",
        "test_middleware.py::test_a_bomb_passes_whole_and_is_not_unpacked",
    ),
    Mutant(
        "loop-blocked",
        "engine/engine.py",
        "if size <= _INLINE_BYTES:",
        "if size >= 0:",
        "test_more_laws.py::test_the_event_loop_goes_on_while_a_large_body_is_worked_on",
    ),
    Mutant(
        "start-not-held",
        "middleware/respond.py",
        "if self._started or self._watch.visible or self._flow is None:",
        "if self._watch:",
        "test_rounds.py::test_a_second_round_that_fails_before_anything_was_said_fails_the_request",
    ),
    Mutant(
        "start-held-for-ever",
        "middleware/upstream.py",
        "wake = self.deadline if relay.waiting else",
        "wake = inf if relay.waiting else",
        "test_rounds.py::test_the_start_is_held_no_longer_than_allowed",
    ),
    Mutant(
        "failed-round-looks-complete",
        "middleware/respond.py",
        "return Way.SWALLOW\n\n",
        "return Way.PASS\n\n",
        "test_more_laws.py::test_a_stream_whose_second_round_fails_ends_with_one_error_of_the_dialect",
    ),
    Mutant(
        "background-work-delays-the-round",
        "middleware/upstream.py",
        "await self._pump(inbox, relay, feed)",
        "await self._pump(inbox, relay, feed)\n            await over.wait()",
        "test_rounds.py::test_a_second_round_does_not_wait_for_the_first_ones_background_work",
    ),
    Mutant(
        "disconnect-not-passed-on",
        "middleware/upstream.py",
        "await self.gone.wait()",
        "await anyio.sleep_forever()",
        "test_rounds.py::test_when_the_client_leaves_the_app_is_told_and_then_canceled",
    ),
    Mutant(
        "disconnect-not-passed-on-without-the-tool",
        "middleware/upstream.py",
        "serve(body, call.receive, exchange.sent), send)",
        "serve(body, anyio.sleep_forever, exchange.sent), send)",
        "test_more_laws.py::test_without_the_tool_the_app_hears_from_the_server_that_the_client_left",
    ),
)

_SEARCH: Final = (
    Mutant(
        "condition-on-any-column",
        "retrieval/search.py",
        "return id(column) in whole.get(term.column, ends.get(term.column, ()))",
        "return True",
        "test_search.py::test_what_was_asked_for_is_shown_under_its_heads_and_nothing_else",
    ),
    Mutant(
        "condition-on-said-once-objects-ignored",
        "retrieval/search.py",
        "if out.roles[unit] != Role.ENTRY or not out.table[number].said:",
        "if out.roles[unit] == Role.ENTRY or not out.table[number].said:",
        "test_search.py::test_what_was_asked_for_is_shown_under_its_heads_and_nothing_else",
    ),
)

_FORMS: Final = (
    Mutant(
        "constant-but-for-the-last-row",
        "_crush_cells.pxi",
        "    for i in range(1, table.rows):\n        if not same_scalar(",
        "    for i in range(1, table.rows - 1):\n        if not same_scalar(",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[a constant but for the last record]",
    ),
    Mutant(
        "comma-not-quoted-in-a-list",
        "_crush_text.pxi",
        "b',[]{}\":()'",
        "b'[]{}\":()'",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[commas in flow]",
    ),
    Mutant(
        "said-once-by-another-member",
        "_crush_cells.pxi",
        "put_cell(crush, doc, first_value(doc.nodes, node), 0, 0)",
        "put_cell(crush, doc, node_next(doc.nodes, node_next(doc.nodes, first_value(doc.nodes, node))), 0, 0)",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[objects said once]",
    ),
    Mutant(
        "said-once-though-it-differs",
        "_crush_said.pxi",
        "return same_span(table, known, object)",
        "return True",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[objects of one name that differ]",
    ),
    Mutant(
        "stem-cut-inside-a-word",
        "_crush_cells.pxi",
        "first.data[i - 1] != 0x20",
        "first.data[i - 1] == 0x00",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[a stem]",
    ),
    Mutant(
        "list-of-two-as-list-of-one",
        "_crush_render.pxi",
        "node_count(doc.nodes, array) > 1 or ",
        "",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[a list of two]",
    ),
    Mutant(
        "tuples-with-another-key",
        "_crush_cells.pxi",
        "if not same_span(table, like, key):",
        "if not same_span(table, key, key):",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[lists of records with another key]",
    ),
    Mutant(
        "records-by-a-key-that-comes-twice",
        "_crush_lists.pxi",
        " or not keys_differ(crush, doc, keys, count)",
        "",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[records by a key that comes twice]",
    ),
    Mutant(
        "rows-of-the-first-group-in-all",
        "_crush_lists.pxi",
        "sizes[i] = node_count(nodes, group)",
        "sizes[i] = node_count(nodes, node_child(nodes, array))",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[lists of lists of records]",
    ),
    Mutant(
        "ragged-matrix",
        "_crush_lists.pxi",
        " or node_count(nodes, line) != width",
        "",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[a ragged matrix]",
    ),
    Mutant(
        "run-off-by-one",
        "_crush_flow.pxi",
        "put_int(count, out)",
        "put_int(count - 1, out)",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[a run of four]",
    ),
    Mutant(
        "neighbors-of-one-size",
        "_crush_render.pxi",
        "else same_bytes(doc, brief, value)",
        "else node_size(doc.nodes, brief) == node_size(doc.nodes, value)",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[neighbors of one size]",
    ),
    Mutant(
        "same-columns-but-for-the-last-row",
        "_crush_cells.pxi",
        "for i in range(table.rows):",
        "for i in range(table.rows - 1):",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[columns that are the same but for the last record]",
    ),
    Mutant(
        "cr-in-a-fence",
        "_crush_text.pxi",
        "if at + 1 == size or data[at + 1] != 0x0A:",
        "if at + 1 == size:",
        "test_crush_faults.py::test_a_form_is_written_where_it_fits_and_only_there[a CR before another character]",
    ),
)

_TEXTS: Final = (
    Mutant(
        "line-run-off-by-one",
        "_crush_raw.pxi",
        "put_int(copies + 1, out)",
        "put_int(copies, out)",
        "test_crush_faults.py::test_lines_that_repeat_are_counted_with_the_first",
    ),
    Mutant(
        "brackets-of-a-cut-block",
        "_crush_raw.pxi",
        "put_int(found.depth, &crush.out)",
        "put_int(found.depth - 1, &crush.out)",
        "test_crush_faults.py::test_a_block_that_was_cut_says_how_many_brackets_it_lacks",
    ),
    Mutant(
        "lines-of-another-spelling",
        "_crush_strings.pxi",
        "return out.size >= length and memcmp(out.data, source, length) == 0",
        "return out.size >= length",
        "test_crush_faults.py::test_lines_of_which_one_is_spelled_another_way_come_back_as_they_were",
    ),
    Mutant(
        "go-style-without-angle",
        "_crush_style.pxi",
        "at[0] == 0x3C or at[0] == 0x3E or at[0] == 0x26",
        "at[0] == 0x3C or at[0] == 0x26",
        "test_crush_faults.py::test_what_go_escapes_is_read_and_escaped_again",
    ),
    Mutant(
        "sign-in-a-text",
        "_crush_find.pxi",
        "step == 0 or (data[at] == 0xE2 and data[at + 1] == 0x9F and data[at + 2] == 0xA6)",
        "step == 0",
        "test_crush_faults.py::test_a_text_with_a_sign_of_the_format_in_it_is_left_alone",
    ),
    Mutant(
        "sign-in-a-string",
        "_crush_text.pxi",
        "TEXT_CONTROL | TEXT_SURROGATE | TEXT_BRACKET",
        "TEXT_CONTROL | TEXT_SURROGATE",
        "test_crush_faults.py::test_a_text_with_a_sign_of_the_format_in_it_is_left_alone",
    ),
    Mutant(
        "escape-cut-in-two-is-said",
        "_crush_open.pxi",
        "return half if behind == at else at",
        "return at",
        "test_crush_open.py::test_half_of_a_line_end_stands_behind_the_cut",
    ),
    Mutant(
        "object-cut-off-in-another-spelling",
        "_crush_open.pxi",
        " and memcmp(crush.other.data, data, end) == 0",
        "",
        "test_crush_open.py::test_other_texts_are_not_taken_for_one_that_was_cut_off",
    ),
    Mutant(
        "wrapper-of-two-texts",
        "_crush_result.pxi",
        "marks & TEXT_LF:",
        "marks & TEXT_CONTROL:",
        "test_crush_faults.py::test_a_wrapper_has_one_text_of_several_lines",
    ),
)

_PROSE: Final = (
    Mutant(
        "own-reading-applied",
        "engine/words.py",
        '(await asked("masks_failed", store.get_many(MASKS, unread, tenant=tenant)) or {})',
        "read",
        "test_words.py::test_of_two_workers_that_read_at_once_the_first_that_writes_decides",
    ),
    Mutant(
        "text-without-its-mask-remembered",
        "transforms/content_router.py",
        "if decision.words is None or not decision.words.missing:",
        "if decision.key:",
        "test_words.py::test_without_the_stores_word_a_text_goes_whole_and_is_reported",
    ),
    Mutant(
        "masks-not-used-as-long-as-texts-are-sent",
        "engine/exchange.py",
        "if masks := report.remembered_masks():",
        "if masks := report.originals() and {}:",
        "test_words.py::test_masks_live_as_long_as_their_texts_are_sent",
    ),
    Mutant(
        "words-behind-the-first-window-lost",
        "compressors/word_model.py",
        "return [first, *first.overflowing]",
        "return [first]",
        "test_word_model.py::test_no_word_is_lost_at_a_windows_border",
    ),
    Mutant(
        "masks-of-all-tenants",
        "compressors/kompress.py",
        'return make_ref(tenant, text_digest(b"words',
        'return make_ref("", text_digest(b"words',
        "test_kompress.py::test_the_key_of_a_mask_is_its_tenants_own",
    ),
    Mutant(
        "sentence-that-was-asked-for-left-out",
        "compressors/extract.py",
        "sentence.leads or number in named or",
        "sentence.leads or",
        "test_extract.py::test_a_sentence_stays_if_it_holds_a_literal_that_the_question_or_the_call_names",
    ),
)

_OMISSIONS: Final = (
    Mutant(
        "marker-without-count",
        "_crush_omit.pxi",
        "put_int(end - first, &crush.out)",
        "pass",
        "test_crush_omission.py::test_first_and_last_rows_are_kept_and_the_markers_count_the_others",
    ),
    Mutant(
        "marker-dropped",
        "_crush_omit.pxi",
        "put_marker(crush, &summary, first, row + 1, indent)",
        "pass",
        "test_crush_omission.py::test_first_and_last_rows_are_kept_and_the_markers_count_the_others",
    ),
    Mutant(
        "omission-across-groups",
        "_crush_keep.pxi",
        "rows[i].opens = True",
        "rows[i].opens = i == 0",
        "test_crush_omission.py::test_rows_of_one_group_are_left_out_together",
    ),
    Mutant(
        "needles-ignored",
        "_crush_keep.pxi",
        "count, SIGN_NEEDLE, KEEP_NEEDLES)",
        "count, SIGN_NEEDLE, 0)",
        "test_crush_omission.py::test_rows_that_hold_a_needle_are_kept",
    ),
    Mutant(
        "error-words-in-keys",
        "_crush_keep.pxi",
        "if not node_flags(table.nodes, at) & NODE_KEY:",
        "if True:",
        "test_crush_faults.py::test_an_error_word_in_a_key_of_one_row_does_not_keep_it",
    ),
    Mutant(
        "summary-of-rows-that-are-shown",
        "_crush_summary.pxi",
        "while at < column.count and cell_row(column, at) < first:",
        "while False:",
        "test_crush_needles.py::test_markers_say_what_python_finds_in_the_rows",
    ),
)

_READER: Final = (
    Mutant(
        "fewer-rows-than-said",
        "_crush_decode_table.pxi",
        'return refuse(d, b"fewer rows than the head of the table says", d.at)',
        "return True",
        "test_expand_refused.py::test_what_the_grammar_does_not_prescribe_is_refused[fewer rows than the head says]",
    ),
    Mutant(
        "objects-said-once-joined-by-size",
        "_crush_decode_said.pxi",
        "entry.key.end - entry.key.start == size and memcmp(t.objects.data + entry.key.start, key, size) == 0",
        "entry.key.end - entry.key.start == size",
        "test_expand_refused.py::test_what_the_grammar_does_not_prescribe_is_refused[an object that is not said]",
    ),
    Mutant(
        "wrapper-with-two-holes",
        "_crush_decode.pxi",
        "if hole[0] >= 0:",
        "if hole[0] > 1 << 30:",
        "test_expand_refused.py::test_what_the_grammar_does_not_prescribe_is_refused[a wrapper with two holes]",
    ),
)

_LEDGER: Final = (
    Mutant(
        "entry-of-another-turn",
        "engine/conversation.py",
        "if entry is not None and entry.digest == digest_of(turn):",
        "if entry is not None:",
        "test_replay.py::test_ids_that_are_random_find_a_turn_whatever_the_client_did_to_older_messages",
    ),
    Mutant(
        "turn-of-another-conversation",
        "retrieval/ledger.py",
        "parent + digest_of(turn).encode()",
        "digest_of(turn).encode()",
        "test_replay.py::test_a_turn_in_another_conversation_is_not_the_same_turn",
    ),
    Mutant(
        "ids-that-are-no-names",
        "retrieval/ledger.py",
        "if turn.calls and all(_is_random(call) for call in turn.calls):",
        "if turn.calls:",
        "test_replay.py::test_short_ids_of_another_conversation_are_not_the_same",
    ),
    Mutant(
        "entry-written-too-late",
        "middleware/respond.py",
        "await self._exchange.remember(outcome)\n        return watch.finish(outcome), ",
        "return watch.finish(outcome), ",
        "test_replay.py::test_the_entry_is_written_before_the_client_has_the_end_of_the_answer",
    ),
    Mutant(
        "replay-without-a-shared-store",
        "engine/conversation.py",
        "replays = shared and route.replays",
        "replays = route.replays",
        "test_replay.py::test_without_the_ledger_the_client_s_own_turns_go_on",
    ),
    Mutant(
        "left-out-before-the-store-has-it",
        "engine/exchange.py",
        "if not kept and self.conversation is not None and self.conversation.relies:",
        "if False:",
        "test_held.py::test_nothing_is_left_out_before_the_store_has_it",
    ),
    Mutant(
        "everything-relies-on-the-store",
        "engine/conversation.py",
        "return self.is_held and (bool(self.client.held) or self.is_new)",
        "return self.is_held",
        "test_held.py::test_a_client_that_sends_everything_again_needs_no_store_for_it",
    ),
    Mutant(
        "held-id-not-followed",
        "engine/conversation.py",
        'moved = self.held.goes_on not in ("", self.client.held)',
        "moved = False",
        "test_held.py::test_a_conversation_goes_on_from_where_the_provider_really_is",
    ),
    Mutant(
        "refs-of-earlier-requests-forgotten",
        "engine/conversation.py",
        "dict.fromkeys((*self.held.names, *names))",
        "dict.fromkeys(names)",
        "test_held.py::test_what_was_left_out_of_an_earlier_request_can_be_asked_for",
    ),
    Mutant(
        "any-ref-of-the-store-honored",
        "retrieval/tool.py",
        "if name in self._earlier and name not in self._texts",
        "if name not in self._texts",
        "test_held.py::test_what_another_conversation_left_out_cannot",
    ),
    Mutant(
        "refused-conversation-not-pinned",
        "engine/exchange.py",
        'await self._asked("pin_failed", self.conversation.pin())',
        "return",
        "test_refused.py::test_a_conversation_that_was_refused_goes_as_it_comes_from_then_on",
    ),
    Mutant(
        "breaker-breaks-prefixes",
        "engine/conversation.py",
        "if spared and known.is_new and",
        "if spared and",
        "test_refused.py::test_new_conversations_are_spared_for_a_while_and_those_under_way_are_not",
    ),
    Mutant(
        "second-refusal-shown",
        "middleware/refusing.py",
        ' and message["status"] in _OK:',
        ":",
        "test_refused.py::test_the_first_error_stands_where_the_own_bytes_are_refused_as_well",
    ),
    Mutant(
        "retried-for-its-length",
        "engine/refusals.py",
        " or _TOO_LONG.search(error):",
        ":",
        "test_refused.py::test_errors_that_the_own_bytes_would_not_mend_pass",
    ),
    Mutant(
        "sign-of-life-before-anything-else",
        "retrieval/watch.py",
        "self._codec.keep_alive() if self._visible and",
        "self._codec.keep_alive() if",
        "test_later_rounds.py::test_a_client_that_has_seen_nothing_gets_no_sign",
    ),
    Mutant(
        "half-an-answer-tried-again",
        "middleware/upstream.py",
        "if answering or not relay.failed(error):",
        "if not relay.failed(error):",
        "test_later_rounds.py::test_a_connection_that_fails_within_an_answer_is_not_tried_again",
    ),
)

_HOSTILE: Final = (
    Mutant(
        "call-at-an-index-that-was-in-use",
        "retrieval/watch.py",
        "if part is None or event.begins or event.index is None:",
        "if part is None or event.index is None:",
        "test_hostile_upstreams.py::test_parts_that_all_have_one_index_are_told_apart",
    ),
    Mutant(
        "text-at-an-index-that-was-ours",
        "wire/bedrock_stream.py",
        "block is None or block.ended:\n            block",
        "block is None:\n            block",
        "test_hostile_upstreams.py::test_parts_that_all_have_one_index_are_told_apart",
    ),
    Mutant(
        "call-that-only-the-end-tells",
        "retrieval/watch.py",
        ' and outcome.reason == "done":',
        ":",
        "test_hostile_upstreams.py::test_a_call_that_is_told_of_only_when_it_is_whole_is_ours_as_well",
    ),
    Mutant(
        "stream-without-a-type-unread",
        "middleware/ways.py",
        "if begun and (payload.stream or kind.way is Way.WATCH):",
        "if begun and kind.way is Way.WATCH:",
        "test_hostile_upstreams.py::test_a_stream_without_a_type_of_its_own_is_the_one_that_was_asked_for",
    ),
    Mutant(
        "answer-of-an-odd-type-unread",
        "middleware/ways.py",
        "    if follows and not failed:\n        return Kind(Way.COLLECT",
        "    if False:\n        return Kind(Way.COLLECT",
        "test_mislabeled_answers.py::test_a_whole_answer_is_read_whatever_it_is_called",
    ),
    Mutant(
        "broken-answer-with-our-call-passes",
        "middleware/respond.py",
        "and _calls_us(body):",
        "and not body:",
        "test_mislabeled_answers.py::test_a_broken_answer_that_calls_our_tool_does_not_reach_the_client",
    ),
    Mutant(
        "server-waits-for-trailers",
        "middleware/respond.py",
        'start.pop("trailers", None)',
        "pass",
        "test_hostile_upstreams.py::test_trailers_of_a_round_are_not_the_clients",
    ),
    Mutant(
        "stream-unpacked-without-bound",
        "middleware/codings.py",
        '        if size > max_bytes:\n            raise CodingError("too_large")\n    return b"".join(out)\n\n\ndef _gzip',
        '        if size < 0:\n            raise CodingError("too_large")\n    return b"".join(out)\n\n\ndef _gzip',
        "test_hostile_upstreams.py::test_a_stream_that_unpacks_to_very_much_is_refused_and_very_many_members_take_their_time_only",
    ),
    Mutant(
        "counted-ids-taken-for-random",
        "retrieval/ledger.py",
        "sign.isupper()}) >= _RANDOM_SIGNS",
        "sign.isupper()}) >= 0",
        "test_ledger.py::test_random_ids_name_a_turn_and_all_else_goes_with_what_was_before",
    ),
    Mutant(
        "entry-that-changes",
        "engine/conversation.py",
        "entry, if_absent=True)",
        "entry, if_absent=False)",
        "test_replay.py::test_of_two_exchanges_that_ended_alike_the_first_is_put_back_whoever_asks",
    ),
    Mutant(
        "turn-put-back-twice",
        "engine/conversation.py",
        "turn.held or key in done",
        "turn.held",
        "test_replay.py::test_a_turn_that_the_client_repeats_is_put_back_once",
    ),
    Mutant(
        "body-to-count-sent-without-its-cover",
        "engine/staged.py",
        "else self.payload.sent",
        "else self.payload.body",
        "test_bedrock_sdks.py::test_counted_tokens_of_a_body_for_invoke_are_those_of_the_body_that_is_sent",
    ),
    Mutant(
        "reasoning-of-waiting-calls-dropped",
        "wire/blocks.py",
        "if leads_calls else len(nodes)",
        "if not nodes else len(nodes)",
        "test_unsigned.py::test_signed_reasoning_goes_as_far_as_the_provider_takes_it",
    ),
    Mutant(
        "reasoning-dropped-in-silence",
        "engine/exchange.py",
        'self.notes.outcome, self.notes.prefix_risk = "reasoning_dropped", True',
        "pass",
        "test_unsigned.py::test_the_answer_to_what_goes_without_reasoning_is_the_clients",
    ),
    Mutant(
        "rounds-go-on-from-what-was-refused",
        "middleware/upstream.py",
        "relay.follow(self.exchange.flow())",
        "pass",
        "test_unsigned.py::test_hidden_rounds_go_on_from_what_the_provider_took",
    ),
)

_STORES: Final = (
    Mutant(
        "checksums-are-not-compared",
        "store/records.py",
        "    if _checksum(record[:1], name, payload) != record[1 : 1 + _CHECKSUM]:",
        "    if len(record) < 1 + _CHECKSUM:",
        "test_store_sealed.py::test_a_record_that_was_changed_anywhere_is_damaged",
    ),
    Mutant(
        "records-not-bound-to-their-name",
        "store/sealed.py",
        "    parts = [encoded(part) for part in (tenant, ns, key)]",
        "    parts = [encoded(part) for part in (ns, key)]",
        "test_store_sealed.py::test_a_record_of_another_tenant_or_key_is_a_miss",
    ),
    Mutant(
        "unencrypted-records-are-read-with-keys",
        "store/records.py",
        " or encrypted != self.encrypts:",
        " or (encrypted and not self.encrypts):",
        "test_store_sealed.py::test_with_keys_nothing_unencrypted_is_accepted_and_without_them_nothing_encrypted",
    ),
    Mutant(
        "sizes-of-records-are-believed",
        "store/records.py",
        "        if not 0 <= size <= MAX_BYTES:",
        "        if size < 0:",
        "test_store_sealed.py::test_a_record_that_claims_to_be_huge_is_damaged_and_not_expanded",
    ),
    Mutant(
        "redis-keys-without-tenant",
        "store/redis.py",
        "(GET, self._key(tenant, ns, key), ()) for key in wanted",
        '(GET, self._key("", ns, key), ()) for key in wanted',
        "test_store.py::test_a_value_comes_back_as_it_was",
    ),
    Mutant(
        "sqlite-tenants-left-in-the-log",
        "store/sqlite.py",
        '            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()',
        "            pass",
        "test_store_sqlite.py::test_nothing_of_a_deleted_tenant_is_left_on_the_disk",
    ),
    Mutant(
        "sqlite-absolute-cap-forgotten",
        "store/sqlite.py",
        "(*name, counts, size, ttl, now, cap, min(now + ttl, cap))",
        "(*name, counts, size, ttl, now, now + 1e9, now + ttl)",
        "test_store.py::test_no_entry_outlives_the_absolute_cap",
    ),
    Mutant(
        "breaker-never-opens",
        "store/guarded.py",
        "            if self._failures >= _FAILURES and not self._reason:",
        "            if self._failures > 10 * _FAILURES and not self._reason:",
        "test_store_guarded.py::test_after_three_failures_the_store_is_left_alone",
    ),
    Mutant(
        "requests-try-a-store-that-is-down",
        "store/guarded.py",
        "            self._try_again()\n            raise",
        "            await self._trial()\n            raise",
        "test_store_guarded.py::test_trials_become_rarer_while_they_fail",
    ),
    Mutant(
        "calls-that-fail-together-count-each",
        "store/guarded.py",
        "        if failure and of_round == self._round:",
        "        if failure:",
        "test_store_guarded.py::test_calls_that_fail_together_count_as_one",
    ),
    Mutant(
        "errors-of-stores-are-quoted",
        "store/guarded.py",
        "            failure = str(error) if isinstance(error, StoreError) else type(error).__name__\n            raise",
        "            failure = str(error)\n            raise",
        "test_store_guarded.py::test_no_message_quotes_the_error",
    ),
)

MUTANTS: Final = (
    *(*_REFS, *_BYTES, *_STAGES, *_ROUNDS, *_HTTP, *_SEARCH, *_FORMS, *_TEXTS, *_PROSE, *_OMISSIONS, *_READER, *_LEDGER),
    *_HOSTILE,
    *_STORES,
)
