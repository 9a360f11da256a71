//! The admin listener: is the program alive, should it get traffic, how is it doing.

use super::life::Life;
use super::reload::Desk;
use super::snapshot::Current;
use async_trait::async_trait;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Admin {
    now: Current,
    desk: Arc<Desk>,
    life: Arc<Life>,
    started: Instant,
}

impl Admin {
    pub fn new(now: &Current, desk: &Arc<Desk>, life: &Arc<Life>) -> Admin {
        Admin { now: Arc::clone(now), desk: Arc::clone(desk), life: Arc::clone(life), started: Instant::now() }
    }

    fn answer(&self, path: &str) -> (StatusCode, Value) {
        match path {
            "/livez" => (StatusCode::OK, json!({"status": "alive"})),
            "/readyz" if self.life.is_ready() => (StatusCode::OK, json!({"status": "ready"})),
            "/readyz" if self.life.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "draining"})),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting"})),
            "/status" => (StatusCode::OK, self.status()),
            _ => (StatusCode::NOT_FOUND, json!({"error": "there are /livez, /readyz, /status and POST /reload here"})),
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
        let is_reload = request.uri.path() == "/reload";
        let allowed = if is_reload { "POST" } else { "GET, HEAD" };
        let (status, body) = match is_reload {
            true if request.method == Method::POST => self.reload().await,
            false if is_read => self.answer(request.uri.path()),
            _ => (StatusCode::METHOD_NOT_ALLOWED, json!({"error": format!("allowed are: {allowed}")})),
        };
        let body = format!("{body}\n").into_bytes();
        let mut response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header(ALLOW, allowed);
        }
        response.body(body).unwrap_or_default()
    }
}
