//! The real program over real sockets, one module per behaviour.

mod retrieve;
mod support;
