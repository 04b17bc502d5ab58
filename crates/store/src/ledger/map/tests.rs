//! Maps on disk against the naive map of the same entries.
