//! The real program over real sockets, one module per behaviour.

mod commands;
mod dashboards;
mod errors;
mod faults;
mod h2;
mod headers;
mod ids;
mod inbound;
mod inbound_tls;
mod keys;
mod lifecycle;
mod log;
mod metrics;
mod openapi;
mod passthrough;
mod polling;
mod rates;
mod retrieve;
mod secrets;
mod support;
mod tls;
mod tokens;
mod tools;
mod traces;
mod verdicts;
