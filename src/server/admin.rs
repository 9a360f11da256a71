//! The admin listener: is the program alive, should it get traffic, how is it doing.

use super::life::Life;
use crate::gateway::Gateway;
use async_trait::async_trait;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// The description of the public surface.
const OPENAPI: &[u8] = include_bytes!("../../docs/openapi.json");

pub(super) struct Admin {
    gateway: Arc<Gateway>,
    life: Arc<Life>,
    started: Instant,
}

impl Admin {
    pub fn new(gateway: &Arc<Gateway>, life: &Arc<Life>) -> Admin {
        Admin { gateway: Arc::clone(gateway), life: Arc::clone(life), started: Instant::now() }
    }

    fn answer(&self, path: &str) -> (StatusCode, Value) {
        match path {
            "/livez" => (StatusCode::OK, json!({"status": "alive"})),
            "/readyz" if self.life.is_ready() => (StatusCode::OK, json!({"status": "ready"})),
            "/readyz" if self.life.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "draining"})),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, json!({"status": "starting"})),
            "/status" => (StatusCode::OK, self.status()),
            _ => (StatusCode::NOT_FOUND, json!({"error": "there are /livez, /readyz, /status and /openapi.json here"})),
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
        let (status, body) = if is_read {
            self.answer(request.uri.path())
        } else {
            (StatusCode::METHOD_NOT_ALLOWED, json!({"error": "GET and HEAD only"}))
        };
        let is_openapi = is_read && request.uri.path() == "/openapi.json";
        let (status, body) = match is_openapi {
            true => (StatusCode::OK, OPENAPI.to_vec()),
            false => (status, format!("{body}\n").into_bytes()),
        };
        let mut response = Response::builder()
            .status(status)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len());
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header(ALLOW, "GET, HEAD");
        }
        response.body(body).unwrap_or_default()
    }
}
