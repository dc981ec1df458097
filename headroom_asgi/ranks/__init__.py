"""The ranks of the two tiktoken encodings in use: tokens in rank order, one length byte before each, xz."""
