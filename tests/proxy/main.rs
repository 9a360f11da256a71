//! The real program over real sockets, one module per behaviour.

mod passthrough;
mod retrieve;
mod support;
