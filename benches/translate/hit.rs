//! An answer from the poll cache: a request read, answered and written, over memory rather than a socket.
//!
//! `hit.rs` in the folder above compares the same over sockets with an answer that costs nothing.

use pingora::proxy::Session;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use vidgate::config::Settings;
use vidgate::gateway::{Gateway, Outcome};
use vidgate::sandbox::{Options, Sandbox};

/// Stays in progress for ever.
const REQUEST: &[u8] =
    b"GET /v1/videos/video_7c3e9a51d2f84b06a1e5c0d94f7b2811:openai HTTP/1.1\r\nHost: videos.example.com\r\n\r\n";

/// Above the length of an answer.
const ROOM: usize = 16 * 1024;

pub struct Hit {
    runtime: Runtime,
    gateway: Gateway,
}

impl Hit {
    /// With the answer in the cache.
    pub fn new() -> Hit {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sandbox = runtime.block_on(Sandbox::start(Options::default())).unwrap();
        let settings = Settings::parse(&format!(
            "providers: {{openai: {{base_url: '{}', credentials: {{api_key: key}}, poll: {{fresh_for: 1h}}}}}}",
            sandbox.base_url("openai")
        ));
        let gateway = runtime.block_on(async { Gateway::new(&settings.unwrap()).unwrap() });
        let hit = Hit { runtime, gateway };
        assert_eq!(hit.answered(), Some("miss"));
        assert_eq!(hit.answered(), Some("hit"));
        hit
    }

    pub fn run(&self) {
        self.answered();
    }

    /// What the cache had to do with the answer.
    fn answered(&self) -> Option<&'static str> {
        self.runtime.block_on(async {
            let (mut client, server) = duplex(ROOM);
            client.write_all(REQUEST).await.unwrap();
            let mut session = Session::new_h1(Box::new(server));
            assert!(session.read_request().await.unwrap());
            let Ok(Outcome::Answered(answered)) = self.gateway.intercept(&mut session).await else { panic!() };
            drop(session);
            let mut answer = Vec::with_capacity(ROOM);
            client.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            answered.cache
        })
    }
}
