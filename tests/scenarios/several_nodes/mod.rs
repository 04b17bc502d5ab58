//! Several nodes of one site on one etcd: one leads, and every one answers and accepts.

mod etcd_fails;
mod forwarding;
mod keys;
mod moving;
mod nodes_fail;
mod quota;
mod support;
mod writers;
