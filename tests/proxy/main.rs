//! The real program over real sockets, one module per behaviour.

mod aws;
mod commands;
mod content;
mod dashboards;
mod errors;
#[path = "../expect/mod.rs"]
mod expect;
mod faults;
mod h2;
mod headers;
mod ids;
mod inbound;
mod inbound_tls;
mod keys;
mod kling_tokens;
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
