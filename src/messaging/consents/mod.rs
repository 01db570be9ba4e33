//! Who agreed to which messages, or took it back. Rows are only added: the newest on a kind and channel counts.

pub mod api;
