//! The real program over real sockets, one module per behaviour.

mod faults;
mod retrieve;
mod support;
mod tls;
mod tokens;
