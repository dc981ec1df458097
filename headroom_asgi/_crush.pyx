"""The compiled kernel's door: scan, estimate, crush and expand JSON text on bytes, with the GIL released.

One file per job stands beside it. No file makes a Python object per value; the work of every entry point is one `nogil` block.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, llabs, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strlen

from headroom_asgi.errors import ExpandError, ScanError

# Bytes, and JSON as it comes.
include "_crush_buffer.pxi"
include "_crush_tape.pxi"
include "_crush_scan.pxi"
include "_crush_document.pxi"
include "_crush_estimate.pxi"
include "_crush_style.pxi"
include "_crush_python.pxi"

# JSON to crush text.
include "_crush_text.pxi"
include "_crush_arena.pxi"
include "_crush_columns.pxi"
include "_crush_said.pxi"
include "_crush_signs.pxi"
include "_crush_needles.pxi"
include "_crush_series.pxi"
include "_crush_kinds.pxi"
include "_crush_keep.pxi"
include "_crush_table.pxi"
include "_crush_cells.pxi"
include "_crush_flow.pxi"
include "_crush_summary.pxi"
include "_crush_omit.pxi"
include "_crush_lists.pxi"
include "_crush_render.pxi"
include "_crush_find.pxi"
include "_crush_strings.pxi"
include "_crush_seams.pxi"
include "_crush_atoms.pxi"
include "_crush_pattern.pxi"
include "_crush_glance.pxi"
include "_crush_template.pxi"
include "_crush_groups.pxi"
include "_crush_raw.pxi"
include "_crush_body.pxi"
include "_crush_open.pxi"
include "_crush_result.pxi"
include "_crush_views.pxi"

# Texts beside each other.
include "_crush_seen_lines.pxi"
include "_crush_seen.pxi"
include "_crush_repeats.pxi"
include "_crush_runs.pxi"
include "_crush_words.pxi"

# Crush text to JSON.
include "_crush_decode_line.pxi"
include "_crush_decode_columns.pxi"
include "_crush_decode_flow.pxi"
include "_crush_decode_raw.pxi"
include "_crush_decode_said.pxi"
include "_crush_decode_table.pxi"
include "_crush_decode.pxi"

# Texts with groups as they read.
include "_crush_filled.pxi"
