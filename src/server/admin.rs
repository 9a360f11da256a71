//! The admin listener: is the program alive, should it get traffic, how is it doing.

use super::life::Life;
use super::metrics::{Format, Metrics, Vitals};
use crate::gateway::Gateway;
use async_trait::async_trait;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// The description of the public surface.
const OPENAPI: &str = include_str!("../../docs/openapi.json");

pub(super) struct Admin {
    gateway: Arc<Gateway>,
    life: Arc<Life>,
    metrics: Arc<Metrics>,
    started: Instant,
}

const JSON: &str = "application/json";

impl Admin {
    pub fn new(gateway: &Arc<Gateway>, life: &Arc<Life>, metrics: &Arc<Metrics>) -> Admin {
        let (gateway, life, metrics) = (Arc::clone(gateway), Arc::clone(life), Arc::clone(metrics));
        Admin { gateway, life, metrics, started: Instant::now() }
    }

    fn metrics(&self, format: Format) -> String {
        let vitals = Vitals { is_ready: self.life.is_ready(), in_flight: self.life.in_flight() };
        self.metrics.text(&self.gateway, &vitals, format)
    }

    fn answer(&self, path: &str) -> (StatusCode, Value) {
        match path {
            "/livez" => (StatusCode::OK, json!({"status": "alive"})),
            "/readyz" if self.life.is_ready() => (StatusCode::OK, json!({"status": "ready"})),
            "/readyz" if self.life.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "draining"})),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting"})),
            "/status" => (StatusCode::OK, self.status()),
            _ => (
                StatusCode::NOT_FOUND,
                json!({"error": "there are /metrics, /livez, /readyz, /status and /openapi.json here"}),
            ),
        }
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": self.life.is_ready(),
            "draining": self.life.is_draining(),
            "in_flight": self.life.in_flight(),
            "poll_cache": self.gateway.cache_state(),
            "providers": self.gateway.provider_states(),
        })
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let is_read = request.method == Method::GET || request.method == Method::HEAD;
        let (status, content_type, body) = match request.uri.path() {
            _ if !is_read => {
                (StatusCode::METHOD_NOT_ALLOWED, JSON, format!("{}\n", json!({"error": "GET and HEAD only"})))
            }
            "/metrics" => {
                let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let format = Format::for_accept(accept);
                (StatusCode::OK, format.content_type(), self.metrics(format))
            }
            "/openapi.json" => (StatusCode::OK, JSON, OPENAPI.to_owned()),
            path => {
                let (status, body) = self.answer(path);
                (status, JSON, format!("{body}\n"))
            }
        };
        let mut response =
            Response::builder().status(status).header(CONTENT_TYPE, content_type).header(CONTENT_LENGTH, body.len());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header(ALLOW, "GET, HEAD");
        }
        response.body(body.into_bytes()).unwrap_or_default()
    }
}
