//! Links over real sockets on loopback: who may connect, which connection stays, what happens when
//! something breaks, and how long a frame takes.

mod life;
mod strangers;
mod support;
mod traffic;
