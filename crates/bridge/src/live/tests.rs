//! Sources on a node that is a commit in memory.
