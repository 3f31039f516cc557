"""Every parser of ours against bytes that nobody meant well: see docs/fuzzing.md."""
