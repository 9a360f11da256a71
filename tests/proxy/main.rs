//! The real program over real sockets, one module per behaviour.

mod polling;
mod retrieve;
mod support;
