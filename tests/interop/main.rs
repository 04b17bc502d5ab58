//! Einhorn and the programs of others, talking to each other as users would make them.

mod update;
