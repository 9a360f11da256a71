//! The admin listener: is the program alive, should it get traffic, how is it doing.

use super::life::Life;
use super::metrics::{Format, Metrics, Vitals};
use super::reload::Desk;
use super::snapshot::Current;
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
    now: Current,
    desk: Arc<Desk>,
    life: Arc<Life>,
    metrics: Arc<Metrics>,
    started: Instant,
}

const JSON: &str = "application/json";

impl Admin {
    pub fn new(now: &Current, desk: &Arc<Desk>, life: &Arc<Life>, metrics: &Arc<Metrics>) -> Admin {
        let (now, desk, life, metrics) = (Arc::clone(now), Arc::clone(desk), Arc::clone(life), Arc::clone(metrics));
        Admin { now, desk, life, metrics, started: Instant::now() }
    }

    fn metrics(&self, format: Format) -> String {
        let vitals = Vitals { is_ready: self.life.is_ready(), in_flight: self.life.in_flight() };
        self.metrics.text(&self.now.load().gateway, &vitals, format)
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
                json!({"error": "there are /metrics, /livez, /readyz, /status, /openapi.json and POST /reload here"}),
            ),
        }
    }

    async fn reload(&self) -> (StatusCode, Value) {
        match self.desk.reload().await {
            Ok(generation) => (StatusCode::OK, json!({"generation": generation})),
            Err(faults) => (StatusCode::BAD_REQUEST, json!({"error": "the config was not reloaded", "faults": faults})),
        }
    }

    fn status(&self) -> Value {
        let now = self.now.load();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": self.life.is_ready(),
            "draining": self.life.is_draining(),
            "in_flight": self.life.in_flight(),
            "poll_cache": now.gateway.cache_state(),
            "providers": now.gateway.provider_states(),
            "config": self.desk.facts(),
        })
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let is_read = request.method == Method::GET || request.method == Method::HEAD;
        let path = request.uri.path();
        let allowed = if path == "/reload" { "POST" } else { "GET, HEAD" };
        let (status, content_type, body) = match path {
            "/reload" if request.method == Method::POST => json_answer(self.reload().await),
            "/metrics" if is_read => {
                let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let format = Format::for_accept(accept);
                (StatusCode::OK, format.content_type(), self.metrics(format))
            }
            "/openapi.json" if is_read => (StatusCode::OK, JSON, OPENAPI.to_owned()),
            path if is_read && path != "/reload" => json_answer(self.answer(path)),
            _ => json_answer((StatusCode::METHOD_NOT_ALLOWED, json!({"error": format!("allowed are: {allowed}")}))),
        };
        let mut response =
            Response::builder().status(status).header(CONTENT_TYPE, content_type).header(CONTENT_LENGTH, body.len());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header(ALLOW, allowed);
        }
        response.body(body.into_bytes()).unwrap_or_default()
    }
}

fn json_answer((status, body): (StatusCode, Value)) -> (StatusCode, &'static str, String) {
    (status, JSON, format!("{body}\n"))
}
